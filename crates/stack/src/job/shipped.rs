//! The plan that comes with the program: of the job as it is without any option, as Flink compiled it.
//!
//! To compile it takes Flink fifteen seconds of a first start. A plan holds neither Kafka's address nor directories nor times (see
//! [`times`]), so one of the same SQL and options can be run anywhere; with any option that changes the SQL, and after any change to a `.sql` file, the text it was
//! compiled of is not the same, and Flink compiles a new one. `scripts/plan` puts that in the place of the old one, and a
//! test asks for it.

use std::io::BufReader;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::template::{self, JobParameters, Start};
use super::{options, times};
use crate::error::{Result, StackError};

const PLAN: &[u8] = include_bytes!("../../plan/default.json.gz");

#[derive(Deserialize)]
struct Shipped {
    /// All that Flink compiled it of.
    of: String,
    /// What `COMPILE PLAN` wrote.
    plan: Box<RawValue>,
}

/// All that a plan is compiled of, as one text.
pub(super) fn question(parameters: &JobParameters) -> Result<String> {
    let anywhere = JobParameters { kafka: "anywhere".into(), ..parameters.clone() };
    let sql = template::render(&anywhere, Start::At(times::PLACEHOLDER))?.text;
    Ok(options::as_sql(&options::of_plan(parameters)) + &sql)
}

/// The plan of this question, if it is the one that comes with the program.
pub(super) fn plan_of(question: &str) -> Option<String> {
    let shipped: Shipped = serde_json::from_reader(BufReader::new(GzDecoder::new(PLAN))).ok()?;
    (shipped.of == question).then(|| shipped.plan.get().to_owned())
}

/// Whether a plan of this job comes with the program.
pub fn has_plan_of(parameters: &JobParameters) -> bool {
    question(parameters).is_ok_and(|question| plan_of(&question).is_some())
}

/// A plan as it can come with the program.
pub(super) fn packed(question: &str, plan: &str) -> Result<Vec<u8>> {
    let fail = |why: String| StackError::Template { file: "the compiled plan".into(), why };
    let plan: Value = serde_json::from_str(plan).map_err(|e| fail(e.to_string()))?;
    let mut file = GzEncoder::new(Vec::new(), Compression::best());
    serde_json::to_writer(&mut file, &json!({ "of": question, "plan": plan }))
        .map_err(|e| fail(e.to_string()))?;
    file.finish().map_err(|e| fail(e.to_string()))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_plan_is_found_by_all_it_was_compiled_of() {
        assert!(plan_of("SELECT 1").is_none());
        let packed = packed("SELECT 1", "{\"nodes\": []}").unwrap();
        let mut json = String::new();
        GzDecoder::new(&packed[..]).read_to_string(&mut json).unwrap();
        assert_eq!(json, r#"{"of":"SELECT 1","plan":{"nodes":[]}}"#);
    }

    #[test]
    fn the_plan_is_of_the_flink_that_is_brought() {
        let shipped: Value = serde_json::from_reader(GzDecoder::new(PLAN)).unwrap();
        let version = shipped["plan"]["flinkVersion"].as_str().unwrap();
        let pom = include_str!("../../runtime/flink/pom.xml");
        assert!(
            pom.contains(&format!("<flink.version>{version}.")),
            "a plan of Flink {version}: run scripts/plan"
        );
    }
}
