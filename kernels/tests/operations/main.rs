//! Operations equal the oracle bit for bit: every ISA, team size, layout and awkward shape.
//!
//! Not unit tests: those would compile every kernel of every format once more, which takes minutes.

#[path = "../../src/testing.rs"]
mod testing;

mod attention;
mod products;
mod wkv;

use hewn_kernels::{CpuIsa, Team};

/// Whether the CPU is an emulated one (`.ci/emulated`), a fiftieth as fast: then smaller shapes do.
fn emulated() -> bool {
    std::env::var_os("HEWN_EMULATED").is_some()
}

fn teams() -> Vec<Team> {
    let isas = CpuIsa::available();
    let mut teams: Vec<Team> = isas.iter().map(|i| Team::new(1, *i).unwrap()).collect();
    teams.push(Team::new(2, CpuIsa::best()).unwrap());
    if !emulated() {
        teams.push(Team::new(5, CpuIsa::best()).unwrap());
        teams.push(Team::new(3, isas[0]).unwrap());
    }
    teams
}
