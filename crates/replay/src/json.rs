//! A JSON object per line, with the names that people use.
//!
//! nginx has no JSON form of its own: one writes a `log_format` with the names of its variables. Caddy writes JSON by itself, with what
//! was asked in an object `request`. For Apache one writes a `LogFormat`, usually with names in camel case.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::line::{Line, request, some};
use crate::{clf, clock, escape};

/// Reads a line.
pub fn read(line: &str) -> Option<Line<'_>> {
    match serde_json::from_str::<Object<'_>>(line) {
        Ok(object) => object.line(),
        // servers that escape as for the text formats
        Err(_) => own(serde_json::from_str::<Object<'_>>(&escape::mend_json(line)?).ok()?.line()?),
    }
}

fn own(line: Line<'_>) -> Option<Line<'static>> {
    let text = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
    Some(Line {
        time_ms: line.time_ms,
        precise: line.precise,
        address: text(line.address),
        method: text(line.method),
        target: text(line.target),
        status: line.status,
        referrer: line.referrer.map(text),
        user_agent: line.user_agent.map(text),
        host: line.host.map(text),
    })
}

/// What is known of the object.
#[derive(Default)]
struct Object<'l> {
    time: Option<(i64, bool)>,
    address: Option<Cow<'l, str>>,
    request: Option<Cow<'l, str>>,
    method: Option<Cow<'l, str>>,
    target: Option<Cow<'l, str>>,
    query: Option<Cow<'l, str>>,
    status: Option<u16>,
    referrer: Option<Cow<'l, str>>,
    user_agent: Option<Cow<'l, str>>,
    host: Option<Cow<'l, str>>,
}

impl<'l> Object<'l> {
    fn line(self) -> Option<Line<'l>> {
        let (time_ms, precise) = self.time?;
        let (mut method, mut target) = match self.request {
            // a request line, or only what was asked for
            Some(line) if line.contains(' ') || line.is_empty() || line == "-" => request(line),
            Some(target) => (Cow::Borrowed(""), target),
            None => (Cow::Borrowed(""), Cow::Borrowed("")),
        };
        if let Some(uri) = self.target.filter(|_| target.is_empty()) {
            target = uri;
        }
        if let Some(named) = self.method {
            method = named;
        }
        if let Some(query) = self.query.and_then(some)
            && !target.contains('?')
        {
            // Apache's %q has the question mark, nginx's $args has not
            target = Cow::Owned(format!("{target}?{}", query.trim_start_matches('?')));
        }
        Some(Line {
            time_ms,
            precise,
            address: self.address?,
            method,
            target,
            status: self.status.unwrap_or(0),
            referrer: self.referrer.and_then(some),
            user_agent: self.user_agent.and_then(some),
            host: self.host.and_then(some),
        })
    }

    fn take(&mut self, name: &str, value: Value<'l>) {
        fn first<T>(slot: &mut Option<T>, value: Option<T>) {
            if slot.is_none() {
                *slot = value;
            }
        }
        match name {
            "time" | "time_local" | "time_iso8601" | "timestamp" | "@timestamp" | "ts" | "msec"
            | "datetime" | "start_time" => {
                first(&mut self.time, value.time());
            }
            "status" | "status_code" | "statusCode" | "response" | "code" => {
                first(&mut self.status, value.status())
            }
            "remote_addr" | "remote_ip" | "remoteIP" | "remoteAddr" | "remote_host" | "client_ip"
            | "clientip" | "clientIP" | "client" | "ip" => {
                first(&mut self.address, value.text().filter(|text| !text.is_empty()))
            }
            "request" | "request_line" | "requestLine" => first(&mut self.request, value.text()),
            "request_uri" | "requestURI" | "uri" | "path" | "url" => first(&mut self.target, value.text()),
            "query" | "query_string" | "queryString" | "args" => first(&mut self.query, value.text()),
            "request_method" | "requestMethod" | "method" | "verb" => first(&mut self.method, value.text()),
            "http_referer" | "http_referrer" | "referer" | "referrer" | "Referer" => {
                first(&mut self.referrer, value.text())
            }
            "http_user_agent" | "user_agent" | "userAgent" | "useragent" | "agent" | "User-Agent" => {
                first(&mut self.user_agent, value.text());
            }
            "host" | "http_host" | "server_name" | "serverName" | "vhost" | "virtualHost" => {
                first(&mut self.host, value.text())
            }
            _ => {}
        }
    }
}

/// A value, as far as it can be anything we ask for.
enum Value<'l> {
    Text(Cow<'l, str>),
    Number(f64),
    Object(Box<Object<'l>>),
    Other,
}

impl<'l> Value<'l> {
    fn text(self) -> Option<Cow<'l, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn status(self) -> Option<u16> {
        match self {
            Self::Text(text) => clf::status(&text),
            Self::Number(number) if (100.0..1_000.0).contains(&number) => Some(number as u16),
            _ => None,
        }
    }

    fn time(self) -> Option<(i64, bool)> {
        match self {
            Self::Number(number) => clock::unix(number),
            Self::Text(text) => {
                let text = text.trim_start_matches('[').trim_end_matches(']');
                clock::common(text)
                    .map(|ms| (ms, false))
                    .or_else(|| clock::iso(text))
                    .or_else(|| text.parse().ok().and_then(clock::unix))
            }
            _ => None,
        }
    }
}

impl<'de: 'l, 'l> Deserialize<'de> for Object<'l> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<'l>(std::marker::PhantomData<&'l ()>);
        impl<'de: 'l, 'l> Visitor<'de> for Fields<'l> {
            type Value = Object<'l>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'l>, A::Error> {
                let mut object = Object::default();
                while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
                    match map.next_value::<Value<'l>>()? {
                        // Caddy's request, and its headers within
                        Value::Object(inner) if matches!(&*name, "request" | "headers") => {
                            object.join(*inner)
                        }
                        value => object.take(&name, value),
                    }
                }
                Ok(object)
            }
        }
        deserializer.deserialize_map(Fields(std::marker::PhantomData))
    }
}

impl<'l> Object<'l> {
    /// Takes what `other` knows and this does not.
    fn join(&mut self, other: Object<'l>) {
        let Object {
            time: _,
            address,
            request,
            method,
            target,
            query,
            status: _,
            referrer,
            user_agent,
            host,
        } = other;
        for (slot, value) in [
            (&mut self.address, address),
            (&mut self.request, request),
            (&mut self.method, method),
            (&mut self.target, target),
            (&mut self.query, query),
            (&mut self.referrer, referrer),
            (&mut self.user_agent, user_agent),
            (&mut self.host, host),
        ] {
            if slot.is_none() {
                *slot = value;
            }
        }
    }
}

/// A name, borrowed where it can be.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl<'de: 'l, 'l> Deserialize<'de> for Value<'l> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<'l>(std::marker::PhantomData<&'l ()>);
        impl<'de: 'l, 'l> Visitor<'de> for Any<'l> {
            type Value = Value<'l>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'l>, E> {
                Ok(Value::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Value<'l>, E> {
                Ok(Value::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Value<'l>, E> {
                Ok(Value::Number(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value<'l>, E> {
                Ok(Value::Number(number as f64))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value<'l>, E> {
                Ok(Value::Number(number as f64))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Value<'l>, E> {
                Ok(Value::Other)
            }

            fn visit_unit<E>(self) -> Result<Value<'l>, E> {
                Ok(Value::Other)
            }

            /// Headers are lists of texts: the first counts.
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'l>, A::Error> {
                let first = seq.next_element::<Value<'l>>()?.unwrap_or(Value::Other);
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(first)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value<'l>, A::Error> {
                let object = Object::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(Value::Object(Box::new(object)))
            }
        }
        deserializer.deserialize_any(Any(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Line<'_> {
        read(line).unwrap_or_else(|| panic!("{line}"))
    }

    #[test]
    fn nginx() {
        let line = of(
            r#"{"time_iso8601":"2026-11-26T11:00:00+01:00","remote_addr":"2001:db8::1","request":"GET /a\u0022b?x=1 HTTP/1.1","status":"200","http_referer":"","http_user_agent":"Mozilla/5.0"}"#,
        );
        assert_eq!((line.time_ms, line.precise), (1_795_687_200_000, false));
        assert_eq!((&*line.method, &*line.target, line.status), ("GET", "/a\"b?x=1", 200));
        assert_eq!((line.referrer, line.user_agent.as_deref()), (None, Some("Mozilla/5.0")));
        let line = of(
            r#"{"time_local":"26/Nov/2026:10:00:00 +0000","remote_addr":"192.0.2.1","request_method":"GET","request_uri":"/a","args":"x=1","status":304,"host":"shop.example","msec":"1795687200.250"}"#,
        );
        assert_eq!((&*line.method, &*line.target, line.status), ("GET", "/a?x=1", 304));
        assert_eq!(line.host.as_deref(), Some("shop.example"));
    }

    #[test]
    fn caddy() {
        let line = of(
            r#"{"level":"info","ts":1795687200.253,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"192.0.2.1","remote_port":"5","client_ip":"192.0.2.1","proto":"HTTP/2.0","method":"GET","host":"Shop.example","uri":"/a?b=1","headers":{"User-Agent":["curl/8"],"Referer":["https://r.example/"],"Accept":["*/*"]},"tls":{"resumed":false}},"bytes_read":0,"duration":0.001,"size":5,"status":200,"resp_headers":{"Server":["Caddy"]}}"#,
        );
        assert_eq!((line.time_ms, line.precise, line.status), (1_795_687_200_253, true, 200));
        assert_eq!((&*line.method, &*line.target, &*line.address), ("GET", "/a?b=1", "192.0.2.1"));
        assert_eq!(line.user_agent.as_deref(), Some("curl/8"));
        assert_eq!(line.referrer.as_deref(), Some("https://r.example/"));
        assert_eq!(line.host.as_deref(), Some("Shop.example"));
    }

    #[test]
    fn apache_with_its_own_escapes() {
        let line = of(
            r#"{ "time":"[26/Nov/2026:10:00:00 +0000]", "remoteIP":"192.0.2.1", "host":"shop.example", "request":"/a", "query":"?q=1", "method":"GET", "status":"200", "userAgent":"odd \x09\"agent\"", "referer":"-" }"#,
        );
        assert_eq!((&*line.method, &*line.target, line.status), ("GET", "/a?q=1", 200));
        assert_eq!((line.user_agent.as_deref(), line.referrer), (Some("odd \t\"agent\""), None));
    }

    #[test]
    fn what_is_no_line() {
        for line in
            ["{}", "[]", "{", r#"{"ts":1}"#, r#"{"remote_addr":"a"}"#, r#"{"ts":true,"remote_addr":"a"}"#]
        {
            assert!(read(line).is_none(), "{line}");
        }
        let odd = of(r#"{"ts":1795687200,"remote_addr":"a","status":[],"request":{"uri":5},"host":null}"#);
        assert_eq!((odd.status, &*odd.target, odd.host), (0, "", None));
    }
}
