use super::regions::SPIN;
use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn team(threads: usize) -> Team {
    Team::new(threads, CpuIsa::best()).unwrap()
}

#[test]
fn every_chunk_runs_once() {
    for threads in [1, 2, 5] {
        let t = team(threads);
        for chunks in [0, 1, 2, 3, 1000] {
            let hits: Vec<AtomicUsize> = (0..chunks).map(|_| AtomicUsize::new(0)).collect();
            t.step(|crew| {
                for _ in 0..20 {
                    crew.run(chunks, &|w, c| {
                        assert!(w < threads);
                        hits[c].fetch_add(1, Ordering::Relaxed);
                    });
                }
            })
            .unwrap();
            assert!(hits.iter().all(|h| h.load(Ordering::Relaxed) == 20));
        }
    }
}

#[test]
fn a_region_wakes_sleeping_workers() {
    let t = team(3);
    let sum = AtomicUsize::new(0);
    t.step(|crew| {
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(20));
            crew.run(64, &|_, c| {
                sum.fetch_add(c, Ordering::Relaxed);
            });
        }
    })
    .unwrap();
    assert_eq!(sum.into_inner(), 3 * (63 * 64 / 2));
}

#[test]
fn a_leader_that_sleeps_is_woken() {
    let t = team(3);
    let done = AtomicUsize::new(0);
    t.step(|crew| {
        for round in 1..=5 {
            let workers = AtomicUsize::new(0);
            crew.run(1000, &|worker, _| {
                // Every worker stays in one chunk until the leader has surely run out of patience.
                if worker == 0 {
                    while workers.load(Ordering::SeqCst) < 2 {
                        std::thread::yield_now();
                    }
                } else if workers.fetch_add(1, Ordering::SeqCst) < 2 {
                    std::thread::sleep(100 * SPIN);
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
            assert_eq!(done.load(Ordering::SeqCst), 2 * round, "a region ends after the last of its chunks");
        }
    })
    .unwrap();
}

#[test]
fn a_panic_becomes_an_error_and_the_team_lives_on() {
    for threads in [1, 4] {
        let t = team(threads);
        let err = t.step(|crew| {
            crew.run(100, &|_, c| assert!(c != 57, "chunk {c} is bad"));
        });
        assert!(matches!(err, Err(TeamError::Panicked(m)) if m.contains("chunk 57")));
        assert_eq!(t.step(|_| 5).unwrap(), 5);
        let err = t.step(|_| -> () { panic!("leader") });
        assert!(err.is_err());
    }
}

#[test]
fn rows_are_disjoint_and_complete() {
    let t = team(3);
    let mut v = vec![0u32; 7 * 11 + 4];
    t.step(|crew| crew.rows(&mut v, 11, true, |_, i, r| r.fill(i as u32 + 1))).unwrap();
    assert!(v.chunks(11).enumerate().all(|(i, r)| r.iter().all(|&x| x == i as u32 + 1)));
}

#[test]
fn steps_from_several_threads_take_turns() {
    let t = team(2);
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..50 {
                    let n = AtomicUsize::new(0);
                    t.step(|crew| {
                        crew.run(8, &|_, _| {
                            n.fetch_add(1, Ordering::Relaxed);
                        })
                    })
                    .unwrap();
                    assert_eq!(n.into_inner(), 8);
                }
            });
        }
    });
}

/// Notes what it is told.
#[derive(Default)]
struct Notes {
    busy: Mutex<Vec<(usize, Instant, Instant)>>,
    regions: Mutex<Vec<(Instant, Instant)>>,
}

impl TeamWatch for Notes {
    fn busy(&self, worker: usize, start: Instant, end: Instant) {
        self.busy.lock().unwrap().push((worker, start, end));
    }
    fn region(&self, start: Instant, end: Instant) {
        self.regions.lock().unwrap().push((start, end));
    }
}

#[test]
fn a_watch_sees_every_region_and_who_worked_in_it() {
    let (t, notes) = (team(3), Notes::default());
    t.watched_step(Some(&notes), |crew| {
        for _ in 0..10 {
            crew.run(6, &|_, _| std::thread::sleep(Duration::from_millis(1)));
            crew.run(1, &|_, _| {});
        }
    })
    .unwrap();
    t.step(|crew| crew.run(6, &|_, _| {})).unwrap();
    let (busy, regions) = (notes.busy.into_inner().unwrap(), notes.regions.into_inner().unwrap());
    assert_eq!(regions.len(), 10, "a region of one chunk is none, and nobody watched the second step");
    assert!(regions.windows(2).all(|w| w[0].1 <= w[1].0));
    for (start, end) in regions {
        let here: Vec<_> = busy.iter().filter(|b| start <= b.1 && b.2 <= end).collect();
        assert!(here.iter().any(|b| b.0 == 0) && here.len() <= 3, "the leader always takes part");
        // Six chunks of a millisecond by at most three threads.
        let work: Duration = here.iter().map(|b| b.2 - b.1).sum();
        assert!(work >= Duration::from_millis(6), "{work:?}");
    }
    assert!(busy.iter().any(|b| b.0 != 0));
}
