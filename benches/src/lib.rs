//! Criterion benchmarks of the kernels: the cases of [`hewn_kernels::probe::kernels`], which `hewn bench --kernels` runs too.
