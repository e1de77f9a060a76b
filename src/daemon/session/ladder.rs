//! What the session leaves out under pressure, and takes up again.

use std::sync::Arc;

use super::Session;
use crate::daemon::prepare::open_again;
use crate::engine::Engine;
use crate::health::DegradeLevel;

impl Session {
    /// Leaves out what a step of the ladder says, or takes it up again. `note` is what alarms say
    /// of it.
    pub async fn degrade(&mut self, level: DegradeLevel, note: Option<String>) {
        self.outputs.pause(level >= DegradeLevel::OutputsPaused);
        let native = level >= DegradeLevel::NativeOnly;
        let engine = match self.native_only == native {
            true => None,
            false => self.engine_for(native).await,
        };
        if engine.is_some() {
            self.native_only = native;
        }
        let every = if level >= DegradeLevel::HalfScored {
            2
        } else {
            1
        };
        self.with_stream(move |stream| {
            stream.set_degraded(note);
            stream.set_every(every);
            if let Some(engine) = engine {
                stream.replace_engine(engine);
            }
        })
        .await;
    }

    /// Another engine of the same model, where the ladder asks for one: none where the
    /// configuration's choice is native anyhow, or the native engine cannot run the model.
    async fn engine_for(&self, native: bool) -> Option<Box<dyn Engine>> {
        let model = self.with_stream(|stream| {
            let pipeline = stream.pipeline();
            (pipeline.engine_name(), pipeline.model_digest().to_owned())
        });
        let (engine, digest) = model.await?;
        if native && engine == "native" {
            return None;
        }
        let settings = Arc::clone(&self.settings);
        let opened = tokio::task::spawn_blocking(move || open_again(&settings, native, &digest));
        match opened.await {
            Ok(Ok(engine)) => Some(engine),
            Ok(Err(error)) => {
                log::warn!(target: "daemon", "the engine stays as it is: {error:#}");
                None
            }
            Err(_) => None,
        }
    }
}
