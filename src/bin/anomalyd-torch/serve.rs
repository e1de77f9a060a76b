//! `serve`: answers windows with what a TorchScript module makes of them.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use anomalyd::engine::torch::protocol::{self, Message, Shape};
use sha2::{Digest, Sha256};
use tch::{CModule, IValue, Kind, Tensor};

use crate::{memory, parent, plain};

/// Windows run before the first that counts: the first runs of a module take paths of libtorch
/// (choosing and generating kernels) that later ones do not.
const WARM_UP: usize = 8;

/// What torch-sys is built against, and insists on.
const LIBTORCH: &str = "2.6";

/// Serves the model file for windows of `window` frames of `sensors` until stdin closes.
pub fn run(model: &Path, window: u32, sensors: u32, threads: i32) -> Result<(), String> {
    parent::end_with_parent()?;
    memory::be_killed_first();
    let mut output = Vec::new();
    let shape = Shape {
        batch: 1,
        window,
        sensors,
    };
    let (module, digest) = match open(model, shape, threads) {
        Ok(loaded) => loaded,
        Err(message) => {
            say(
                &Message::Failed {
                    request: 0,
                    message: message.clone(),
                },
                &mut output,
            )?;
            return Err(message);
        }
    };
    let hello = Message::Hello {
        version: protocol::VERSION,
        digest,
        libtorch: LIBTORCH.to_owned(),
    };
    say(&hello, &mut output)?;

    let mut input = io::stdin().lock();
    let mut bytes = Vec::new();
    while let Some(message) = next(&mut input, &mut bytes)? {
        let Message::Run {
            request,
            shape,
            windows,
        } = message
        else {
            return Err("was sent a message that is not for it".to_owned());
        };
        let answer = tch::no_grad(|| forward(&module, shape, &windows));
        let answer = match answer {
            Ok((reconstruction, neighbour)) => Message::Output {
                request,
                shape,
                reconstruction,
                neighbour,
            },
            Err(message) => Message::Failed { request, message },
        };
        say(&answer, &mut output)?;
    }
    Ok(())
}

/// The module of a model file, warm for windows of `shape`, and the SHA-256 of the file.
pub fn open(model: &Path, shape: Shape, threads: i32) -> Result<(CModule, [u8; 32]), String> {
    tch::set_num_threads(threads);
    // The profiling executor costs 3 MB and a tenth of the time: a few large operators leave
    // nothing to fuse.
    tch::jit::set_graph_executor_optimize(false);
    let (module, digest) = load(model)?;
    warm_up(&module, shape).map(|()| (module, digest))
}

/// The module, in eval mode, and the SHA-256 of its file.
fn load(path: &Path) -> Result<(CModule, [u8; 32]), String> {
    // One read for both, so that the digest is that of what was loaded.
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let digest = Sha256::digest(&bytes).into();
    let load = || {
        let mut module = CModule::load_data(&mut bytes.as_slice())?;
        module.f_set_eval()?;
        Ok(module)
    };
    load()
        .map(|module| (module, digest))
        .map_err(|error| format!("{}: {}", path.display(), plain(&error)))
}

fn warm_up(module: &CModule, shape: Shape) -> Result<(), String> {
    let Some(values) = shape.values() else {
        return Err("was asked for windows of an impossible shape".to_owned());
    };
    let windows = vec![0.0; values];
    let run = || {
        for _ in 0..WARM_UP {
            tch::no_grad(|| forward(module, shape, &windows))?;
        }
        Ok::<(), String>(())
    };
    run()?;
    memory::drop_file_pages();
    // What comes back is what runs, and what lies around it.
    run()?;
    memory::map_in_small_pieces();
    memory::drop_file_pages();
    Ok(())
}

type Outputs = (Vec<f32>, Option<Vec<f32>>);

/// Reconstruction `[B,T,F]` and neighbour estimate `[B,F]`.
pub fn forward(module: &CModule, shape: Shape, windows: &[f32]) -> Result<Outputs, String> {
    let [batch, window, sensors] = [shape.batch, shape.window, shape.sensors].map(i64::from);
    let input = Tensor::from_slice(windows).view([batch, window, sensors]);
    let output = module
        .forward_is(&[IValue::Tensor(input)])
        .map_err(|error| plain(&error))?;
    let (reconstruction, neighbour) = match output {
        IValue::Tensor(reconstruction) => (reconstruction, None),
        IValue::Tuple(parts) => match <[IValue; 2]>::try_from(parts) {
            Ok([IValue::Tensor(reconstruction), IValue::Tensor(neighbour)]) => {
                (reconstruction, Some(neighbour))
            }
            _ => return Err(returns("a tuple that is not two tensors")),
        },
        _ => return Err(returns("neither a tensor nor a tuple of two")),
    };
    let values = |tensor: &Tensor, wanted: &[i64], what: &str| {
        if tensor.size() != wanted {
            return Err(returns(&format!(
                "a {what} of shape {:?} where {wanted:?} is wanted",
                tensor.size()
            )));
        }
        let flat = tensor.to_kind(Kind::Float).contiguous().view(-1);
        Vec::<f32>::try_from(flat).map_err(|error| plain(&error))
    };
    let reconstruction = values(&reconstruction, &[batch, window, sensors], "reconstruction")?;
    let neighbour = neighbour
        .map(|neighbour| values(&neighbour, &[batch, sensors], "neighbour estimate"))
        .transpose()?;
    Ok((reconstruction, neighbour))
}

fn returns(what: &str) -> String {
    format!("the module returns {what} (docs/model-format.md says what it must)")
}

fn say(message: &Message, bytes: &mut Vec<u8>) -> Result<(), String> {
    bytes.clear();
    message.encode(bytes);
    let mut output = io::stdout().lock();
    output
        .write_all(bytes)
        .and_then(|()| output.flush())
        .map_err(|error| format!("cannot answer: {error}"))
}

/// The next message, or None when stdin has closed between two.
fn next(input: &mut impl Read, bytes: &mut Vec<u8>) -> Result<Option<Message>, String> {
    let mut length = [0; 4];
    match input.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(format!("cannot read: {error}")),
    }
    let refused = |error: protocol::ProtocolError| format!("was sent {error}");
    let length = protocol::decode_length(length, protocol::LONGEST_RUN).map_err(refused)?;
    bytes.resize(length, 0);
    input
        .read_exact(bytes)
        .map_err(|error| format!("cannot read: {error}"))?;
    Message::decode(bytes).map(Some).map_err(refused)
}
