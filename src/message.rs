//! The kinds of events that the service journals, each with its stable MESSAGE_ID, so that
//! `journalctl MESSAGE_ID=…` finds them and `journalctl -x` explains them. Imports nothing.
//!
//! An id is never changed or given to another kind; a new kind gets a new one
//! (`systemd-id128 new`). The explanations are in `rootfs-overlay/service/usr/lib/systemd/catalog`;
//! a test compares both.
//!
//! How to journal one:
//! `log::warn!(target: "health", MESSAGE_ID = Message::HealthRaised.id(); "…")`.

/// A kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message {
    /// The service watches: model verified, sources connected or reported.
    Ready,
    /// The service ends.
    Stopping,
    /// A new configuration is in force.
    Reloaded,
    /// A new configuration or model is unusable; the old one stays in force.
    ReloadRefused,
    /// The score crossed the threshold.
    AlarmRaised,
    /// An alarm stands and repeats its notice.
    AlarmUpdated,
    /// An alarm is over.
    AlarmCleared,
    /// Sensors stopped reporting.
    SilentRaised,
    /// Further sensors stopped reporting.
    SilentUpdated,
    /// All sensors report again.
    SilentCleared,
    /// A person said what an alarm was.
    Acknowledged,
    /// A person muted a sensor or an alarm for a time, or ended that.
    Muted,
    /// No model yet: frames are recorded to learn from.
    Learning,
    /// A model was learned from the recording.
    Learned,
    /// The recording gave no model.
    LearningFailed,
    /// Another model judges from now on.
    ModelChanged,
    /// A new model is not taken: it does not verify.
    ModelRefused,
    /// The previous model judges again.
    ModelRolledBack,
    /// A reading of the machine crossed its limit.
    HealthRaised,
    /// A reading of the machine is back below its limit.
    HealthCleared,
    /// Under pressure: one step down the ladder.
    Degraded,
    /// One step back up the ladder.
    Recovered,
    /// The memory controller is missing: MemoryMax does nothing.
    MemoryUncapped,
    /// The kernel killed a process of the service for want of memory.
    OutOfMemory,
    /// The engine gave no score; frames go unscored.
    Unscored,
    /// The engine scores again.
    ScoredAgain,
    /// The torch worker died and was started again.
    WorkerRestarted,
    /// Samples were lost, or came too late or too early to be used.
    SamplesLost,
    /// A source failed or lost its connection.
    SourceFailed,
    /// A source works, for the first time or again.
    SourceRestored,
    /// An output lost its connection; what it publishes waits.
    OutputFailed,
    /// An output works, for the first time or again.
    OutputRestored,
    /// More waits for an output than may be kept: the oldest is dropped.
    QueueFull,
    /// The saved state cannot be used and was set aside.
    StateUnreadable,
    /// The state cannot be saved.
    StateUnwritable,
    /// The clock of the machine was set.
    ClockStepped,
    /// State of the run before was taken over.
    Resumed,
    /// A benchmark found the service slower or larger than before.
    Regressed,
    /// The service ended by a signal, a failure or the watchdog; systemd starts it again.
    Crashed,
    /// The user's file on an appliance's card was taken over.
    Provisioned,
    /// The user's file on an appliance's card is wrong; nothing was changed.
    ProvisionRefused,
}

impl Message {
    /// The MESSAGE_ID: 32 hexadecimal digits.
    pub fn id(self) -> &'static str {
        match self {
            Message::Ready => "15f92a9ab1138ba5ac7b66486c1f71f6",
            Message::Stopping => "7f65c143925d92121e4536f865e62c3c",
            Message::Reloaded => "8cf6b22a697c4587c5c9b403e2bab7c4",
            Message::ReloadRefused => "d6b1c25f86b033e5f13ccf93044060b9",
            Message::AlarmRaised => "7b0ebe7e437f976b8f9dfb60e1a293b7",
            Message::AlarmUpdated => "e50fcec3b1141e6978443befc77240a5",
            Message::AlarmCleared => "3acbb18882f2ddec1f656cf47e9ad138",
            Message::SilentRaised => "8150f5e5ad0f9af5b4dca7442e7f7b69",
            Message::SilentUpdated => "c4290b714e1a8297b9d52de30b00f42c",
            Message::SilentCleared => "ab967c9448216eb1baa8ac31f8a3efaa",
            Message::Acknowledged => "b3d933d8cea51b01417b01ebc9898ac2",
            Message::Muted => "c86d716bba22c6fb1937dfa4298c129a",
            Message::Learning => "6749da5263ca73194cf6eee0e138d953",
            Message::Learned => "599eda5c6214456b370237726b1eb779",
            Message::LearningFailed => "751e0c87bbaf39f06bfbefeb93873c95",
            Message::ModelChanged => "26371503de7f6f4d237221db44baa14d",
            Message::ModelRefused => "6af824f52ff6df2157ff66299eb89d54",
            Message::ModelRolledBack => "6bea15f8a06b6a7f42f3bf83179e1b1a",
            Message::HealthRaised => "af44c23e46e9794f5d659a3604b64c7d",
            Message::HealthCleared => "766340f58a0555ab4826bc17bed08d53",
            Message::Degraded => "24eb64d662c0f15c0a03afd1d333c396",
            Message::Recovered => "0d3eb29bca58b70fc5bbcfae1bbbcd48",
            Message::MemoryUncapped => "9f5e74bbd7225c2351bc11e393c96b0f",
            Message::OutOfMemory => "c08f2a081da7954fa6d2c39f049bdcd0",
            Message::Unscored => "b5acff9bc5c0717604386699fe3c0146",
            Message::ScoredAgain => "775301e892a809ccdb28c7042cdcc57d",
            Message::WorkerRestarted => "78e72006bcd7dbc261a3f959bb8972e3",
            Message::SamplesLost => "2c29fa28cc9fda0063d79ef234191edf",
            Message::SourceFailed => "f7b9b3a67fc670bcda91cec7ede89009",
            Message::SourceRestored => "8af7355040efab9d488a0663b6922587",
            Message::OutputFailed => "b7e8b33a8e0d4ef1a158a231dcc56465",
            Message::OutputRestored => "8e73e5985005438d94fba8bfbb158bbd",
            Message::QueueFull => "f1abfc3ec982462e8c0b63b3deb65df2",
            Message::StateUnreadable => "539350867153d14788ecd0228b3d366b",
            Message::StateUnwritable => "175aeaf7562329336725664f6356a18f",
            Message::ClockStepped => "94914155114e314e9c5d934fcfe1f687",
            Message::Resumed => "cc61376589a35ac0aa36530e044ad287",
            Message::Regressed => "00a5854d83374a8c9373ac0a3a9f6245",
            Message::Crashed => "96f9c2610da1e658451267075f62ca98",
            Message::Provisioned => "85888f508cea42e8bdfd43a665c7516d",
            Message::ProvisionRefused => "c76a1b850ae54cd9af3ad1180dc9198f",
        }
    }

    /// Every kind, in the order of the catalog.
    pub const ALL: &'static [Message] = &[
        Message::Ready,
        Message::Stopping,
        Message::Reloaded,
        Message::ReloadRefused,
        Message::AlarmRaised,
        Message::AlarmUpdated,
        Message::AlarmCleared,
        Message::SilentRaised,
        Message::SilentUpdated,
        Message::SilentCleared,
        Message::Acknowledged,
        Message::Muted,
        Message::Learning,
        Message::Learned,
        Message::LearningFailed,
        Message::ModelChanged,
        Message::ModelRefused,
        Message::ModelRolledBack,
        Message::HealthRaised,
        Message::HealthCleared,
        Message::Degraded,
        Message::Recovered,
        Message::MemoryUncapped,
        Message::OutOfMemory,
        Message::Unscored,
        Message::ScoredAgain,
        Message::WorkerRestarted,
        Message::SamplesLost,
        Message::SourceFailed,
        Message::SourceRestored,
        Message::OutputFailed,
        Message::OutputRestored,
        Message::QueueFull,
        Message::StateUnreadable,
        Message::StateUnwritable,
        Message::ClockStepped,
        Message::Resumed,
        Message::Regressed,
        Message::Crashed,
        Message::Provisioned,
        Message::ProvisionRefused,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_what_the_journal_takes_and_each_is_given_once() {
        let mut ids: Vec<&str> = Message::ALL.iter().map(|message| message.id()).collect();
        let hexadecimal = |id: &&str| {
            id.bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        assert!(ids.iter().all(|id| id.len() == 32 && hexadecimal(id)));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), Message::ALL.len());
    }
}
