//! anomalyd: from sensor samples to explained alarms.
//!
//! ```text
//!  MQTT, Modbus, NDJSON, CSV, simulator
//!        │
//!        ▼ samples         frames           x [F]           x̂ [F]          charts          events
//!    ingest 2 ──► frame 1 ──────► window 3 ─────► engine 4 ─────► score 5 ─────► alarm 6 ─────► output 7
//!                                     │               │              │              │       (log, stdout, MQTT, OTLP)
//!                                     └───────────────┴── model ─────┴──────────────┘
//!                                               (the file: weights, manifest, golden vectors)
//! ```
//!
//! Data flows from left to right. A stage imports stages of a lower number only, so that each can be
//! read, tested and replaced without those after it; `frame` is 1 because all share its types.
//! Stages 3 to 6 are synchronous, have no clock of their own and do no input or output (but for the
//! torch engine's worker): the daemon, `replay` and `evaluate` run the very same code.
//!
//! # Who may import whom
//!
//! `tests/layers.rs` reads this table and fails on every other import.
//!
//! | module   | stage | may import | what it is |
//! |----------|-------|------------|------------|
//! | frame    | 1     | nothing | samples, frames, time; samples put on a grid |
//! | ingest   | 2     | frame clock simulate message broker backoff register | sources of samples |
//! | window   | 3     | frame model | standardising, stand-ins for stale sensors |
//! | engine   | 4     | frame window model message | what the model expects: native, or a torch worker |
//! | score    | 5     | frame window engine model | residuals to charts; calibration; evaluation |
//! | alarm    | 6     | frame window engine score model | state machine, flood control, naming |
//! | output   | 7     | frame alarm message broker backoff http metrics histogram durable | where alarms go; store and forward |
//! | register | -     | nothing | what the registers of a Modbus device hold, for its configuration and its source |
//! | broker   | -     | nothing | how an MQTT broker is reached, for source and output; whom TLS trusts |
//! | backoff  | -     | nothing | growing waits between attempts |
//! | durable  | -     | nothing | files that a power loss leaves whole |
//! | model    | -     | frame durable | the model file |
//! | clock    | -     | frame | the time, or a made-up one in tests |
//! | simulate | -     | frame | a plant of our own and its faults |
//! | config   | -     | register | configuration files to checked settings |
//! | logging  | -     | nothing | lines for the journal or a terminal |
//! | message  | -     | nothing | the kinds of journaled events and their MESSAGE_IDs |
//! | health   | -     | message | readings of the machine, limits, the ladder of degrading |
//! | systemd  | -     | nothing | readiness, status and watchdog towards systemd |
//! | state    | -     | frame alarm pipeline message durable | what survives a restart |
//! | histogram | -    | nothing | counts of durations |
//! | control  | -     | frame histogram alarm health | the control socket: requests, answers, both ends |
//! | history  | -     | frame | scores and sensors of the last 30 days on disk |
//! | http     | -     | nothing | connections and time for hyper, for page and output |
//! | metrics  | -     | histogram control | the service's metrics, for page and output |
//! | web      | -     | frame alarm output model histogram state history control http metrics | the page, the metrics and the health checks over HTTP |
//! | learn    | -     | frame window engine score model pipeline train clock message | a model learned by the service itself |
//! | pipeline | -     | frame window engine score alarm model | wires stages 3 to 6 for one stream |
//! | train    | -     | frame window engine score model pipeline clock | normal data to a model file |
//! | appliance | -    | config durable | the user's file on a card, taken over |
//! | bench    | -     | frame histogram simulate model engine pipeline health control clock alarm broker output | benchmarks of the real program: results, verdict, report |
//! | daemon   | -     | all but appliance bench cli | wires everything to a service |
//! | cli      | -     | all | the commands |
//! | bin      | -     | engine | the torch worker `anomalyd-torch` |
//!
//! What reaches beyond the crate has its place too:
//!
//! | name    | only in | why |
//! |---------|---------|-----|
//! | tokio   | ingest output control http web bench daemon | stages 3 to 6 are synchronous |
//! | anyhow  | cli daemon | a module's errors are types that its callers can tell apart |
//! | hyper   | http web output/otlp | HTTP has few places |
//! | tch     | bin | the daemon never links libtorch |
//! | clap    | cli bench pipeline bin | command lines |
//! | unsafe  | engine/kernel health/mailbox learn/idle bin | vector instructions, and system calls that nix lacks |

pub mod alarm;
pub mod appliance;
pub mod backoff;
pub mod bench;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod daemon;
pub mod durable;
pub mod engine;
pub mod frame;
pub mod health;
pub mod histogram;
pub mod history;
pub mod http;
pub mod ingest;
pub mod learn;
pub mod logging;
pub mod message;
pub mod metrics;
pub mod model;
pub mod output;
pub mod pipeline;
pub mod register;
pub mod score;
pub mod simulate;
pub mod state;
pub mod systemd;
pub mod train;
pub mod web;
pub mod window;
