//! What counts as our architecture, and what does not.

use super::*;

/// A module as PyTorch 2.6 prints it, with `body` for its forward.
fn module(body: &str) -> String {
    let body: String = body
        .lines()
        .map(|line| format!("    {}\n", line.trim()))
        .collect();
    format!(
        "class Net(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  encoder : __torch__.torch.nn.modules.rnn.LSTM
  def forward(self: __torch__.Net,
    x: Tensor) -> Tensor:
{body}class Other(Module):
  def forward(self: __torch__.Other,
    x: Tensor) -> Tensor:
    return x
"
    )
}

fn scripted() -> Meaning {
    let state = Meaning::Several(vec![Meaning::Hidden, Meaning::Cell]);
    Meaning::Several(vec![Meaning::Outputs, state])
}

fn verdict(body: &str, layers: usize) -> Result<Option<usize>, String> {
    let modules = Modules {
        autoencoder: true,
        neighbour: body.contains("self.neighbour"),
        layers,
    };
    let lstm = scripted();
    let integer = |name: &str| (name == "seq_len").then_some(12);
    check(&module(body), "Net", modules, [&lstm, &lstm], &integer)
}

const ENCODE: &str = "encoder = self.encoder
    _0, _1, = (encoder).forward__0(x, None, )
    h, c, = _1
    decoder = self.decoder
    output = self.output
";
const DECODE: &str = "y, _3, = (decoder).forward__0(z, None, )
    return (output).forward(y, )";

#[test]
fn the_ways_to_write_our_forward_are_known() {
    for (layers, steps, length) in [
        (
            2,
            "z = torch.repeat(torch.unsqueeze(torch.select(h, 0, -1), 1), [1, torch.size(x, 1), 1])",
            None,
        ),
        (
            2,
            "z = torch.repeat(torch.unsqueeze(torch.select(h, 0, 1), 1), [1, (torch.size(x))[1], 1])",
            None,
        ),
        (
            1,
            "z = torch.repeat(torch.unsqueeze(torch.squeeze(h, 0), 1), [1, 10, 1])",
            Some(10),
        ),
        (
            1,
            "z = torch.repeat(torch.unsqueeze(torch.squeeze(h, 0), 1), [1, self.seq_len, 1])",
            Some(12),
        ),
        (
            1,
            "z = torch.expand(torch.permute(h, [1, 0, 2]), [-1, torch.size(x, 1), -1])",
            None,
        ),
        (
            2,
            "z = torch.repeat(torch.unsqueeze(torch.select(torch.slice(_0), 1, -1), 1), [1, torch.size(x, 1), 1])",
            None,
        ),
    ] {
        let body = format!("{ENCODE}{steps}\n{DECODE}");
        assert_eq!(verdict(&body, layers), Ok(length), "{steps}");
    }
    let both = format!(
        "{ENCODE}z = torch.repeat(torch.unsqueeze(torch.select(h, 0, -1), 1), [1, torch.size(x, 1), 1])
        y, _3, = (decoder).forward__0(z, None, )
        neighbour = self.neighbour
        newest = torch.select(torch.slice(x, 0, 0, 9223372036854775807), 1, -1)
        return ((output).forward(y, ), (neighbour).forward(newest, ))"
    );
    assert_eq!(verdict(&both, 1), Ok(None));
}

#[test]
fn whatever_computes_something_else_is_foreign() {
    let repeat = |last: &str| {
        format!("z = torch.repeat(torch.unsqueeze({last}, 1), [1, torch.size(x, 1), 1])\n")
    };
    let good = repeat("torch.select(h, 0, -1)");
    for (body, reason) in [
        // The cell state, the first layer, the first frame, part of the state.
        (
            format!("{ENCODE}{}{DECODE}", repeat("torch.select(c, 0, -1)")),
            "torch.select",
        ),
        (
            format!("{ENCODE}{}{DECODE}", repeat("torch.select(h, 0, 0)")),
            "torch.select",
        ),
        (
            format!("{ENCODE}{}{DECODE}", repeat("torch.select(_0, 1, 0)")),
            "torch.select",
        ),
        (
            format!("{ENCODE}{}{DECODE}", repeat("torch.squeeze(h, 0)")),
            "torch.squeeze",
        ),
        (
            format!(
                "{ENCODE}{}{DECODE}",
                repeat("torch.slice(torch.select(h, 0, -1), 1, 0, 3)")
            ),
            "torch.slice",
        ),
        // Something before, after or beside.
        (
            format!("x0 = torch.flip(x, [1])\n{ENCODE}{good}{DECODE}"),
            "torch.flip",
        ),
        (
            format!(
                "{ENCODE}{good}y, _3, = (decoder).forward__0(z, None, )\nreturn torch.tanh((output).forward(y, ))"
            ),
            "torch.tanh",
        ),
        (
            format!(
                "{ENCODE}{good}y, _3, = (decoder).forward__0(z, _1, )\nreturn (output).forward(y, )"
            ),
            "decoder is applied",
        ),
        (
            format!("{ENCODE}{good}return (output).forward(z, )"),
            "output is applied",
        ),
        (
            format!("{ENCODE}{good}if torch.eq(1, 1):\n{DECODE}"),
            "is not followed",
        ),
        (
            format!("{ENCODE}{good}y = torch.sub(x, z, alpha=2)\nreturn y"),
            "is not followed",
        ),
        (format!("{ENCODE}return x"), "it returns Window"),
        (String::new(), "it returns nothing"),
    ] {
        let error = verdict(&body, 2).unwrap_err();
        assert!(
            error.contains(reason),
            "{error} instead of {reason} for {body}"
        );
    }
}

#[test]
fn an_lstm_is_followed_as_scripted_and_as_traced() {
    let traced = |call: &str, result: &str| {
        let source = format!(
            "class LSTM(Module):
  __parameters__ = [\"weight_ih_l0\", ]
  def forward(self: __torch__.LSTM,
    x: Tensor) -> Tensor:
    hx = torch.zeros([1, int(ops.prim.NumToTensor(torch.size(x, 0))), 4], dtype=6, layout=None, device=torch.device(\"cpu\"), pin_memory=False)
    weights = [self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0]
    a, b, c = torch.lstm({call})
    return {result}
"
        );
        lstm_result(&source, "LSTM", 1)
    };
    let plain = "x, [hx, hx], weights, True, 1, 0.10000000000000001, False, False, True";
    assert_eq!(traced(plain, "b"), Ok(Meaning::Hidden));
    assert_eq!(
        traced(plain, "(a, c)"),
        Ok(Meaning::Several(vec![Meaning::Outputs, Meaning::Cell]))
    );
    for other in [
        "x, [hx, hx], weights, True, 2, 0., False, False, True",
        "x, [hx, hx], weights, True, 1, 0., True, False, True",
        "x, [hx, hx], weights, True, 1, 0., False, True, True",
        "x, [hx, hx], weights, True, 1, 0., False, False, False",
        "x, [hx, x], weights, True, 1, 0., False, False, True",
        "x, [hx, hx], [self.weight_ih_l0], True, 1, 0., False, False, True",
    ] {
        assert!(traced(other, "a").is_err(), "{other}");
    }

    let scripted_as = |call: &str| {
        let source = format!(
            "class LSTM(Module):
  training : bool
  def forward__0(self: __torch__.LSTM,
    input: Tensor,
    hx: Optional[Tuple[Tensor, Tensor]]=None) -> Tuple[Tensor, Tuple[Tensor, Tensor]]:
    if torch.__is__(hx, None):
      pass
    _21, _22, _23 = torch.lstm(input0, [_19, _20], {call})
"
        );
        lstm_result(&source, "LSTM", 1)
    };
    assert_eq!(
        scripted_as("_flat_weights, True, 1, 0., training, False, True"),
        Ok(scripted())
    );
    for other in [
        "_flat_weights, True, 2, 0., training, False, True",
        "_flat_weights, True, 1, 0., training, True, True",
        "_flat_weights, True, 1, 0., training, False, False",
    ] {
        assert!(scripted_as(other).is_err(), "{other}");
    }
}
