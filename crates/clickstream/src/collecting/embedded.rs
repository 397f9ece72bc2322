//! Into the log in files.

use clickstream_collector::{BoxFuture, Intake, IntakeError, Record};

use crate::embedded::inlet::Inlet;

/// Sends records into this inlet.
pub struct Into(pub Inlet);

impl Intake for Into {
    fn append(&self, records: Vec<Record>) -> BoxFuture<'static, Result<(), IntakeError>> {
        let pairs = records.iter().map(|record| match &record.key {
            Some(key) => (key.as_bytes(), record.value.as_slice()),
            None => (&[] as &[u8], record.value.as_slice()),
        });
        let answer = self.0.append(pairs);
        Box::pin(async move {
            match answer {
                Ok(Some(answer)) => answer
                    .await
                    .map_err(|_| IntakeError::Failed("the log was closed before it took them".into())),
                Ok(None) => Err(IntakeError::Full),
                Err(error) => Err(IntakeError::Failed(error.to_string())),
            }
        })
    }
}
