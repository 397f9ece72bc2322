//! The SQL Gateway's REST interface, version 3: a session, statements, their results.
//!
//! <https://nightlies.apache.org/flink/flink-docs-release-2.2/docs/dev/table/sql-gateway/rest/>

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{Result, StackError};
use crate::flink::rest::{innermost_cause, root_cause};

/// A session of the SQL Gateway. The gateway forgets it ten minutes after its last use.
#[derive(Debug)]
pub struct Session {
    url: String,
    http: reqwest::Client,
    handle: String,
}

/// What a statement returned.
#[derive(Debug, Default)]
pub struct Answer {
    /// Its rows.
    pub rows: Vec<Vec<Value>>,
    /// The job it submitted, if it did.
    pub job: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    #[serde(rename = "resultType")]
    kind: String,
    #[serde(rename = "nextResultUri")]
    next: Option<String>,
    #[serde(rename = "jobID")]
    job: Option<String>,
    results: Option<Results>,
}

#[derive(Deserialize)]
struct Results {
    data: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    fields: Vec<Value>,
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().timeout(Duration::from_secs(60)).no_proxy().build().unwrap_or_default()
}

/// Whether a gateway answers at `url`.
pub async fn answers(url: &str) -> bool {
    client()
        .get(format!("{}/v3/info", url.trim_end_matches('/')))
        .send()
        .await
        .is_ok_and(|answer| answer.status().is_success())
}

impl Session {
    /// Runs statements, one after the other, in a session of their own with these configuration options. Gives what the last one
    /// returned.
    pub async fn run<'s>(
        url: &str,
        options: &BTreeMap<String, String>,
        statements: impl IntoIterator<Item = &'s str>,
    ) -> Result<Answer> {
        let session = Self::open(url, options).await?;
        let mut answer = Ok(Answer::default());
        for statement in statements {
            answer = session.execute(statement).await;
            if answer.is_err() {
                break;
            }
        }
        session.close().await;
        answer
    }

    /// Opens a session with these configuration options.
    pub async fn open(url: &str, options: &BTreeMap<String, String>) -> Result<Self> {
        let mut session =
            Self { url: url.trim_end_matches('/').to_owned(), http: client(), handle: String::new() };
        let answer =
            session.post("/v3/sessions", &json!({ "properties": options }), "(opening a session)").await?;
        session.handle = answer.get("sessionHandle").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(session)
    }

    /// Closes it, and with it all of its temporary tables and views. Jobs go on.
    pub async fn close(self) {
        let _ = self.http.delete(format!("{}/v3/sessions/{}", self.url, self.handle)).send().await;
    }

    /// Runs one statement to its end.
    pub async fn execute(&self, statement: &str) -> Result<Answer> {
        let path = format!("/v3/sessions/{}/statements", self.handle);
        let answer = self.post(&path, &json!({ "statement": statement }), statement).await?;
        let operation = answer.get("operationHandle").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut next =
            Some(format!("/v3/sessions/{}/operations/{operation}/result/0?rowFormat=JSON", self.handle));
        let mut answer = Answer::default();
        let mut pause = 10;
        while let Some(path) = next {
            let page: Page = self.page(&path, statement).await?;
            if page.kind == "NOT_READY" {
                next = Some(path);
                tokio::time::sleep(Duration::from_millis(pause)).await;
                pause = (pause * 3 / 2).min(200);
                continue;
            }
            answer
                .rows
                .extend(page.results.into_iter().flat_map(|results| results.data).map(|row| row.fields));
            answer.job = answer.job.or(page.job);
            next = page.next.filter(|_| page.kind != "EOS");
        }
        Ok(answer)
    }

    fn unreachable(&self, error: &reqwest::Error) -> StackError {
        StackError::NotReachable {
            what: "Flink's SQL Gateway",
            address: self.url.clone(),
            why: root_cause(error),
        }
    }

    async fn page(&self, path: &str, statement: &str) -> Result<Page> {
        let answer =
            self.http.get(format!("{}{path}", self.url)).send().await.map_err(|e| self.unreachable(&e))?;
        if !answer.status().is_success() {
            return Err(refused(&answer.text().await.unwrap_or_default(), statement));
        }
        answer.json().await.map_err(|e| self.unreachable(&e))
    }

    async fn post(&self, path: &str, body: &Value, statement: &str) -> Result<Value> {
        let answer = self
            .http
            .post(format!("{}{path}", self.url))
            .json(body)
            .send()
            .await
            .map_err(|e| self.unreachable(&e))?;
        if !answer.status().is_success() {
            return Err(refused(&answer.text().await.unwrap_or_default(), statement));
        }
        answer.json().await.map_err(|e| self.unreachable(&e))
    }
}

fn refused(body: &str, statement: &str) -> StackError {
    let errors = serde_json::from_str::<Value>(body)
        .ok()
        .and_then(|v| {
            Some(v.get("errors")?.as_array()?.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"))
        })
        .unwrap_or_else(|| body.to_owned());
    let shown: String = statement.trim().chars().take(160).collect();
    StackError::Sql { reason: innermost_cause(&errors), statement: shown }
}
