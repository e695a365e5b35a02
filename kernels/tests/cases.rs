//! What benchmarks run.

use hewn_kernels::probe::kernels::Case;
use hewn_kernels::{CpuIsa, Team};
use std::time::Duration;

#[test]
fn every_case_runs_and_has_a_price_and_a_name_of_its_own() {
    let team = Team::new(2, CpuIsa::best()).unwrap();
    let mut names = Vec::new();
    for case in Case::all() {
        let mut ready = case.prepare(16 << 20).unwrap();
        let cost = ready.cost();
        assert!(cost.operations() > 0 && cost.bytes() > 0, "{}", case.name());
        assert!(ready.run(&team, 2).unwrap() > Duration::ZERO);
        names.push(case.name());
    }
    let n = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), n);
}
