//! Matrix products: format x instruction set x layout, one thread. Throughput is weight bytes read for one column
//! (compare with memory bandwidth) and multiply-adds for 64 and 512 columns (compare with the 8-bit peak).

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hewn_benches::{Lcg, weights};
use hewn_kernels::op::matmul::{Input, Layout, Matrix, Product, matmul};
use hewn_kernels::op::quantize::{ActBlock, quantize_all};
use hewn_kernels::{CpuIsa, Format, Team};

const ROWS: usize = 4096;
const COLS: usize = 1536;

fn products(c: &mut Criterion) {
    let mut rng = Lcg(1);
    for &format in Format::ALL {
        let data = weights(format, ROWS * COLS, &mut rng);
        let file = Matrix::new(format, Layout::File, ROWS, COLS, &data).expect("shape");
        let packed = file.pack();
        for n in [1, 64, 512] {
            let x: Vec<f32> = (0..n * COLS).map(|_| rng.float()).collect();
            let mut blocks = vec![ActBlock::default(); n * COLS / 32];
            quantize_all(CpuIsa::best(), n, &x, &mut blocks).expect("finite");
            let mut group = c.benchmark_group(format!("{}/{n} columns", format.name()));
            group.throughput(match n {
                1 => Throughput::Bytes(data.len() as u64),
                _ => Throughput::Elements((2 * n * ROWS * COLS) as u64),
            });
            // The portable path is there to be right, not fast.
            for isa in CpuIsa::available().into_iter().skip(1) {
                let team = Team::new(1, isa).expect("one thread");
                let layouts = [
                    ("file", Some(file)),
                    (
                        "packed",
                        packed.as_ref().map(|p| Matrix::new(format, Layout::Packed, ROWS, COLS, p).expect("shape")),
                    ),
                ];
                for (name, w) in layouts {
                    let Some(w) = w else { continue };
                    let mut out = vec![0.0; n * ROWS];
                    group.bench_function(BenchmarkId::new(isa.kind().name(), name), |b| {
                        b.iter(|| {
                            let x = Input { floats: &x, blocks: &blocks };
                            team.step(|crew| matmul(crew, n, &mut [Product { w, x, out: &mut out }]))
                                .expect("no panic");
                        });
                    });
                }
            }
            group.finish();
        }
    }
}

criterion_group! { name = benches; config = Criterion::default().sample_size(20); targets = products }
criterion_main!(benches);
