use super::reference::{self, Numbers};
use super::*;
use crate::model::GraphLstm;

/// F, T, H, layers
const SHAPES: [[usize; 4]; 10] = [
    [51, 10, 64, 1],
    [1, 1, 1, 1],
    [1, 10, 8, 1],
    [3, 2, 5, 1],
    [7, 3, 9, 2],
    [8, 4, 16, 1],
    [33, 5, 17, 1],
    [64, 12, 31, 2],
    [51, 10, 64, 2],
    [130, 7, 24, 3],
];

fn engines(model: &GraphLstm) -> Vec<NativeEngine> {
    let make = |kernel| NativeEngine::with_kernel(model, kernel).unwrap();
    Kernel::available().into_iter().map(make).collect()
}

fn largest_difference(ours: &[f32], exact: &[f64]) -> f64 {
    assert_eq!(ours.len(), exact.len());
    let differences = ours
        .iter()
        .zip(exact)
        .map(|(a, b)| (f64::from(*a) - b).abs());
    differences.fold(0.0, f64::max)
}

/// Feeds `frames` and returns, for each complete window, the reconstruction and the estimate.
fn stream(engine: &mut NativeEngine, frames: &[f32], sensors: usize) -> Vec<Option<Expectation>> {
    let mut out = Expectation::zeros(sensors);
    let step = |frame| engine.step(frame, &mut out).unwrap().then(|| out.clone());
    frames.chunks(sensors).map(step).collect()
}

#[test]
fn a_stream_agrees_with_the_reference_window_by_window() {
    for shape in SHAPES {
        let [sensors, window, ..] = shape;
        let mut numbers = Numbers(1);
        let model = reference::model(shape, 1.0, &mut numbers);
        let frames = numbers.take((3 * window + 2) * sensors, 10.0);
        for mut engine in engines(&model) {
            let kernel = engine.kernel().name();
            for (n, out) in stream(&mut engine, &frames, sensors).iter().enumerate() {
                let Some(begin) = (n + 1).checked_sub(window) else {
                    assert_eq!(*out, None, "{kernel} {shape:?}: frame {n} is too early");
                    continue;
                };
                let out = out.as_ref().expect("a complete window has an expectation");
                let window = &frames[begin * sensors..(n + 1) * sensors];
                let (reconstruction, neighbour) = reference::run(&model, window);
                let newest = &reconstruction[reconstruction.len() - sensors..];
                let error = largest_difference(&out.reconstruction, newest);
                assert!(error < 2e-6, "{kernel} {shape:?} frame {n}: {error:e}");
                let error = largest_difference(&out.neighbour, &neighbour);
                assert!(error < 1e-5, "{kernel} {shape:?} frame {n}: {error:e}");
            }
        }
    }
}

#[test]
fn whole_windows_agree_with_the_reference_and_leave_the_stream_alone() {
    for shape in SHAPES {
        let [sensors, window, ..] = shape;
        let mut numbers = Numbers(2);
        let model = reference::model(shape, 1.0, &mut numbers);
        let batch = 3;
        let windows = numbers.take(batch * window * sensors, 10.0);
        let frames = numbers.take(2 * window * sensors, 10.0);
        for mut engine in engines(&model) {
            let kernel = engine.kernel().name();
            let undisturbed = stream(&mut engine.clone(), &frames, sensors);
            let (early, late) = frames.split_at(window * sensors);
            let mut disturbed = stream(&mut engine, early, sensors);
            let out = engine.run_windows(&windows, batch).unwrap();
            disturbed.extend(stream(&mut engine, late, sensors));
            assert_eq!(disturbed, undisturbed, "{kernel} {shape:?}");

            let size = window * sensors;
            // Alone or among the overlapping windows of a stream: the same bits.
            let last = stream(&mut engine, &windows[..window * sensors], sensors).pop();
            let alone = &out.reconstruction[(window - 1) * sensors..][..sensors];
            assert_eq!(last.flatten().unwrap().reconstruction, alone);

            for b in 0..batch {
                let exact = reference::run(&model, &windows[b * size..][..size]);
                let ours = &out.reconstruction[b * size..][..size];
                let error = largest_difference(ours, &exact.0);
                assert!(error < 2e-6, "{kernel} {shape:?} window {b}: {error:e}");
                let ours = &out.neighbour[b * sensors..][..sensors];
                let error = largest_difference(ours, &exact.1);
                assert!(error < 1e-5, "{kernel} {shape:?} window {b}: {error:e}");
            }
        }
    }
}

#[test]
fn a_reset_engine_repeats_the_same_bits() {
    let shape = [51, 10, 64, 1];
    let mut numbers = Numbers(3);
    let model = reference::model(shape, 1.0, &mut numbers);
    let frames = numbers.take(25 * 51, 10.0);
    for mut engine in engines(&model) {
        let first = stream(&mut engine, &frames, 51);
        // Reset in the middle of a window, so that half-filled states are left behind.
        stream(&mut engine, &frames[..51 * 4], 51);
        engine.reset();
        assert_eq!(stream(&mut engine, &frames, 51), first);
    }
}

#[test]
fn a_frame_of_absurd_values_is_forgotten_after_a_window() {
    let shape = [5, 4, 12, 1];
    let mut numbers = Numbers(4);
    let model = reference::model(shape, 1.0, &mut numbers);
    let frames = numbers.take(12 * 5, 10.0);
    for mut engine in engines(&model) {
        let first = stream(&mut engine, &frames, 5);
        engine.reset();
        stream(
            &mut engine,
            &[f32::MAX, f32::MIN, f32::NAN, f32::INFINITY, 0.0],
            5,
        );
        let after = stream(&mut engine, &frames, 5);
        assert_eq!(after[4..], first[4..]);
        assert_eq!(after[3], first[3]);
    }
}

#[test]
fn strong_weights_saturate_as_the_reference_does() {
    let shape = [20, 10, 32, 1];
    let mut numbers = Numbers(5);
    let model = reference::model(shape, 8.0, &mut numbers);
    let frames = numbers.take(10 * 20, 10.0);
    let (exact, _) = reference::run(&model, &frames);
    for mut engine in engines(&model) {
        let out = engine.run_windows(&frames, 1).unwrap();
        let error = largest_difference(&out.reconstruction, &exact);
        assert!(error < 1e-4, "{}: {error:e}", engine.kernel().name());
    }
}

#[test]
fn without_an_autoencoder_the_reconstruction_is_zero() {
    let mut model = reference::model([6, 3, 4, 1], 1.0, &mut Numbers(6));
    model.autoencoder = None;
    let frames = Numbers(7).take(4 * 6, 10.0);
    let mut engine = NativeEngine::new(&model).unwrap();
    let mut out = Expectation {
        reconstruction: vec![9.0; 6],
        neighbour: vec![9.0; 6],
    };
    for (n, frame) in frames.chunks(6).enumerate() {
        assert_eq!(engine.step(frame, &mut out).unwrap(), n >= 2);
        let expected = if n >= 2 { 0.0 } else { 9.0 };
        assert_eq!(out.reconstruction, [expected; 6]);
    }
    let (_, neighbour) = reference::run(&model, &frames[6..]);
    assert!(largest_difference(&out.neighbour, &neighbour) < 1e-5);
}

#[test]
fn without_a_neighbour_head_the_estimate_is_zero() {
    let mut model = reference::model([6, 1, 4, 1], 1.0, &mut Numbers(8));
    model.neighbour = None;
    let mut engine = NativeEngine::new(&model).unwrap();
    let mut out = Expectation::zeros(6);
    out.neighbour.fill(9.0);
    assert!(engine.step(&[1.0; 6], &mut out).unwrap());
    assert_eq!(out.neighbour, [0.0; 6]);
    assert_ne!(out.reconstruction, [0.0; 6]);
}

#[test]
fn a_model_that_does_not_fit_together_is_refused_by_name() {
    let good = reference::model([6, 3, 4, 2], 1.0, &mut Numbers(9));
    let refusal = |change: &dyn Fn(&mut GraphLstm, &mut Autoencoder)| {
        let mut model = good.clone();
        let mut autoencoder = model.autoencoder.take().unwrap();
        change(&mut model, &mut autoencoder);
        model.autoencoder = Some(autoencoder);
        NativeEngine::new(&model).unwrap_err().to_string()
    };
    let message = refusal(&|_, a| _ = a.encoder[1].weight_hh.pop());
    assert!(message.contains("encoder.weight_hh_l1 has 63 values instead of 64"));
    let message = refusal(&|_, a| a.decoder[0].bias_ih[2] = f32::NAN);
    assert!(message.contains("decoder.bias_ih_l0 holds NaN"));
    let message = refusal(&|_, a| a.decoder.clear());
    assert!(message.contains("the decoder has no layers"));
    let message = refusal(&|m, _| m.window = 0);
    assert!(message.contains("the window length is 0, not 1 to 1024"));
    let message = refusal(&|m, _| m.sensors = 7);
    assert!(message.contains("layer 0 of the encoder goes from 6 to 4 values, not from 7 to 4"));
    let message = refusal(&|m, _| m.neighbour.as_mut().unwrap().output = 5);
    assert!(message.contains("the layer neighbour goes from 6 to 5 values, not from 6 to 6"));
}

#[test]
fn frames_given_together_are_answered_as_one_by_one() {
    for shape in SHAPES {
        let [sensors, window, ..] = shape;
        let mut numbers = Numbers(10);
        let model = reference::model(shape, 1.0, &mut numbers);
        let count = 5 * window + 70;
        let frames = numbers.take(count * sensors, 10.0);
        let turns = || -> Vec<Turn> {
            let turn = |(n, x): (usize, &[f32])| Turn {
                x: x.to_vec(),
                restart: n % (3 * window + 5) == 4,
                wanted: n % 7 != 3,
                ..Turn::new(sensors)
            };
            frames.chunks(sensors).enumerate().map(turn).collect()
        };
        for mut alone in engines(&model) {
            let mut together = alone.clone();
            let (mut one_by_one, mut at_once) = (turns(), turns());
            for turn in &mut one_by_one {
                turn.take_with(&mut alone);
            }
            // Parts of every size, among them none and more than are taken at a time.
            let mut rest = at_once.as_mut_slice();
            for size in [0, 1, 2, 17, 3, 40].into_iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (part, after) = rest.split_at_mut(size.min(rest.len()));
                together.run(part);
                rest = after;
            }
            let mut answered = 0;
            for (n, (one, other)) in one_by_one.iter().zip(&at_once).enumerate() {
                let place = format!("{} {shape:?} frame {n}", alone.kernel().name());
                let answers = [one, other].map(|turn| *turn.answer.as_ref().unwrap());
                assert_eq!(answers[0], answers[1], "{place}");
                assert_eq!(one.expectation, other.expectation, "{place}");
                answered += usize::from(answers[0]);
            }
            assert!(answered > 0, "{shape:?}");
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn avx512_gives_the_same_bits_as_avx2() {
    let (Some(avx2), Some(avx512)) = (Kernel::avx2(), Kernel::avx512()) else {
        return println!("skipped: this processor has no AVX-512");
    };
    for shape in SHAPES {
        let mut numbers = Numbers(11);
        let model = reference::model(shape, 1.0, &mut numbers);
        let frames = numbers.take((3 * shape[1] + 2) * shape[0], 10.0);
        let [one, other] = [avx2, avx512].map(|kernel| {
            let mut engine = NativeEngine::with_kernel(&model, kernel).unwrap();
            stream(&mut engine, &frames, shape[0])
        });
        assert!(one.iter().any(Option::is_some));
        assert_eq!(one, other, "{shape:?}");
    }
}
