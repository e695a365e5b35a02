//! RWKV's matrices.

use crate::testing::Lcg;
use hewn_kernels::op::wkv::{Answer, Told, WkvShape, wkv};
use hewn_kernels::state::{RunningState, StateRows};
use hewn_kernels::{CpuIsa, Team, reference};

/// `rows` of `all` (`[n, width]`) from row `at` on, twice.
fn twice(all: &[f32], at: usize, rows: usize, width: usize) -> Vec<f32> {
    all[at * width..(at + rows) * width].repeat(2)
}

#[test]
fn matrices_of_rwkv_equal_the_oracle_however_rows_are_cut() {
    let mut rng = Lcg(53);
    let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    // The last one has more rows than a block of them.
    for (heads, dim, n) in [(1, 1, 9), (1, 16, 9), (3, 20, 9), (2, 50, 9), (1, 33, 137)] {
        let shape = WkvShape { heads, dim, kept: 3 };
        let width = shape.width();
        let [asks, keys, values, at, back] = [(); 5].map(|()| rng.floats(n * width));
        let decays: Vec<f32> = rng.floats(n * width).iter().map(|d| 0.5 + 0.5 * d.abs()).collect();
        let back: Vec<f32> = back.iter().map(|b| 0.3 * b).collect();
        let first = rng.floats(width);
        for kind in 0..3 {
            let told = Told { asks: &asks, decays: &decays, keys: &keys, values: &values };
            let answer = [Answer::Corrected([&at, &back]), Answer::Before(&first), Answer::After][kind];
            let want = reference::wkv(&shape, told, answer);
            assert!(want.iter().all(|v| v.is_finite()) && want.iter().any(|v| v.abs() > 0.1));
            for isa in CpuIsa::available() {
                for (threads, steps) in [(1, vec![n]), (3, vec![1; n]), (2, vec![0, 2, 1, n - 3])] {
                    let team = Team::new(threads, isa).unwrap();
                    let mut states = [(); 2].map(|()| RunningState::new(shape.state()).unwrap());
                    let mut row = 0;
                    for step in steps {
                        let of = |all: &[f32]| twice(all, row, step, width);
                        let [asks, decays, keys, values] = [&asks, &decays, &keys, &values].map(|all| of(all));
                        let (at, back) = (of(&at), of(&back));
                        let told = Told { asks: &asks, decays: &decays, keys: &keys, values: &values };
                        let answer = [Answer::Corrected([&at, &back]), Answer::Before(&first), Answer::After][kind];
                        let half = step * shape.padded_width();
                        let mut out = vec![f32::NAN; 2 * half];
                        let mut parts = states.each_mut().map(|state| StateRows { state, rows: step });
                        team.step(|crew| wkv(crew, &shape, &mut parts, told, answer, &mut out)).unwrap();
                        let mut got = vec![f32::NAN; width];
                        for (r, part) in (0..step).flat_map(|r| [(r, &out[..half]), (r, &out[half..])]) {
                            shape.gather(part, step, r, &mut got);
                            let want = &want[(row + r) * width..][..width];
                            assert_eq!(bits(&got), bits(want), "{shape:?} {kind} {} row {}", isa.kind(), row + r);
                        }
                        row += step;
                    }
                }
            }
        }
    }
}
