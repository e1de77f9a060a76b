//! Time of each case: `cargo bench --bench stages`. Times depend on what else the machine does; the
//! counts of `instructions.rs` do not.

mod cases;

use criterion::{Criterion, criterion_group, criterion_main};

fn stages(criterion: &mut Criterion) {
    for case in cases::all() {
        let mut step = (case.begin)();
        criterion.bench_function(&case.name, |bencher| bencher.iter(&mut step));
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
