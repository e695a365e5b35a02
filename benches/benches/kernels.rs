//! Every kernel on every instruction set, one thread. Throughput is weight bytes for products with one column (compare
//! with the memory's rate) and operations for everything else (compare with the arithmetic peak): see `hewn roofline`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hewn_kernels::probe::kernels::Case;
use hewn_kernels::{CpuIsa, Team};

fn kernels(c: &mut Criterion) {
    for case in Case::all() {
        // More than most second caches hold.
        let Some(mut ready) = case.prepare(32 << 20) else { continue };
        let mut group = c.benchmark_group(case.name());
        let cost = ready.cost();
        group.throughput(match case {
            Case::Matmul { columns: 1, .. } => Throughput::Bytes(cost.weight_bytes),
            _ => Throughput::Elements(cost.operations()),
        });
        // The portable path is there to be right, not fast.
        for isa in CpuIsa::available().into_iter().skip(1) {
            let team = Team::new(1, isa).expect("one thread");
            group.bench_function(BenchmarkId::from_parameter(isa.kind().name()), |b| {
                b.iter_custom(|turns| ready.run(&team, turns as usize).expect("no panic"));
            });
        }
        group.finish();
    }
}

criterion_group! { name = benches; config = Criterion::default().sample_size(20); targets = kernels }
criterion_main!(benches);
