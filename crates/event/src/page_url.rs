//! Addresses made alike: what is one page to a visitor shall be one `page_url` in the log.
//!
//! Whatever brings addresses from outside (the collector, access logs) passes them through [`UrlRules::page`] *before* it
//! writes the event. So the log holds the form that is counted, every engine that reads the log counts alike, and a row can
//! be recounted without knowing the rules of the day. Records that others write into the topic are counted as they stand.
//!
//! Reading is done by the `url` crate, after the [URL standard](https://url.spec.whatwg.org/): the host in lower case,
//! default ports, `.` and `..` gone, spaces and letters beyond ASCII as `%XX`.

use url::Url;
use url::form_urlencoded::{Serializer, parse};

/// Parameters that name a campaign or a click and never a page. They are dropped even where parameters are kept.
const TRACKING: [&str; 19] = [
    "_ga",
    "_gl",
    "dclid",
    "fbclid",
    "gad_source",
    "gbraid",
    "gclid",
    "gclsrc",
    "igshid",
    "li_fat_id",
    "mc_cid",
    "mc_eid",
    "msclkid",
    "ref_src",
    "srsltid",
    "ttclid",
    "twclid",
    "wbraid",
    "yclid",
];

/// Which parameters of the query tell one page from another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// None: `/search?q=shoes` is the page `/search`.
    Drop,
    /// These, in the order of their names.
    Keep(Vec<String>),
    /// All but those of campaigns (`utm_…`, `gclid`, …), in the order of their names.
    All,
}

/// How addresses are made alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UrlRules {
    /// Whether `https://shop.example/cart` is the page `shop.example/cart` rather than `/cart`.
    pub host: bool,
    /// Parameters that are part of the page.
    pub query: Query,
    /// Whether a fragment that looks like a path (`#/cart`, `#!/cart`) is part of the page.
    pub routes: bool,
    /// Whether `/cart/` and `/cart` are two pages.
    pub slash: bool,
}

impl Default for UrlRules {
    fn default() -> Self {
        Self { host: false, query: Query::Drop, routes: true, slash: false }
    }
}

impl UrlRules {
    /// The page of an address, which may be a whole URL or a path. What is no address at all comes back as it is.
    ///
    /// ```
    /// use clickstream_event::page_url::UrlRules;
    /// let rules = UrlRules::default();
    /// assert_eq!(rules.page("https://Shop.Example/shoes/?utm_source=mail#top"), "/shoes");
    /// assert_eq!(rules.page("/shoes"), "/shoes");
    /// ```
    pub fn page(&self, address: &str) -> String {
        let address = address.trim();
        let Some((url, has_host)) = read(address) else { return address.to_owned() };
        let mut page = String::with_capacity(address.len());
        if self.host && has_host {
            page.push_str(url.host_str().unwrap_or_default());
            if let Some(port) = url.port() {
                page.push_str(&format!(":{port}"));
            }
        }
        // two slashes in front would make the next reader take what follows for a host
        page.push('/');
        let path = url.path().trim_start_matches('/');
        page.push_str(if self.slash { path } else { path.trim_end_matches('/') });
        self.push_query(url.query().unwrap_or_default(), &mut page);
        if let Some(route) = self.route(&url) {
            page.push('#');
            page.push_str(route);
        }
        page
    }

    /// The fragment, where it names a page within the page. That of `/#/` is the page itself.
    fn route<'a>(&self, url: &'a Url) -> Option<&'a str> {
        let fragment = url.fragment().filter(|_| self.routes)?;
        let route = if self.slash { fragment } else { fragment.trim_end_matches('/') };
        (route.starts_with('/') || route.starts_with("!/")).then_some(route)
    }

    fn push_query(&self, query: &str, page: &mut String) {
        if query.is_empty() || self.query == Query::Drop {
            return;
        }
        let mut kept: Vec<_> = parse(query.as_bytes()).filter(|(name, _)| self.keeps(name)).collect();
        kept.sort_by(|a, b| a.0.cmp(&b.0));
        if !kept.is_empty() {
            page.push('?');
            page.push_str(&Serializer::new(String::new()).extend_pairs(kept).finish());
        }
    }

    fn keeps(&self, name: &str) -> bool {
        match &self.query {
            Query::Drop => false,
            Query::Keep(names) => names.iter().any(|kept| kept == name),
            Query::All => !name.starts_with("utm_") && !TRACKING.contains(&name),
        }
    }

    /// The rules in a sentence, to be shown to whoever looks at the pages.
    pub fn describe(&self) -> String {
        let query = match &self.query {
            Query::Drop => "without parameters".to_owned(),
            Query::Keep(names) => format!("with the parameters {} only", names.join(", ")),
            Query::All => "with all parameters but those of campaigns".to_owned(),
        };
        format!(
            "a page is its {}, {query}, {}, {}",
            if self.host { "host and path" } else { "path" },
            if self.routes { "without fragment unless that is a route (#/…)" } else { "without fragment" },
            if self.slash {
                "with a slash at the end where it has one"
            } else {
                "without a slash at the end"
            },
        )
    }
}

/// The address as a URL, and whether it named a host.
fn read(address: &str) -> Option<(Url, bool)> {
    match Url::parse(address) {
        Ok(url) if url.has_host() => Some((url, true)),
        // "javascript:", "data:", "localhost:8080" and the like are addresses of no page
        Ok(_) => None,
        Err(_) if address.starts_with("//") => Some((Url::parse(&format!("http:{address}")).ok()?, true)),
        Err(_) => Some((Url::parse("http://page.invalid/").ok()?.join(address).ok()?, false)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_page_has_one_address() {
        let rules = UrlRules::default();
        for (address, page) in [
            ("https://Shop.Example:443/a/../shoes/?gclid=1#top", "/shoes"),
            ("//cdn.example/shoes//", "/shoes"),
            ("/shoes/", "/shoes"),
            ("https://shop.example//shoes", "/shoes"),
            ("shoes", "/shoes"),
            ("?q=1", "/"),
            ("", "/"),
            ("https://shop.example", "/"),
            ("/größe", "/gr%C3%B6%C3%9Fe"),
            ("https://app.example/#/cart/", "/#/cart"),
            ("https://app.example/#!/cart", "/#!/cart"),
            ("https://app.example/#/", "/"),
            ("https://app.example/shop/#!//", "/shop"),
            (" /shoes\n", "/shoes"),
            ("data:text/html,<script>", "data:text/html,<script>"),
            ("/<script>", "/%3Cscript%3E"),
        ] {
            assert_eq!(rules.page(address), page, "{address:?}");
        }
    }

    #[test]
    fn parameters_are_kept_by_name_in_one_order() {
        let address = "/s?utm_source=x&q=b%20c&page=2&fbclid=9&Q=1";
        let with = |query| UrlRules { query, ..UrlRules::default() }.page(address);
        assert_eq!(with(Query::Drop), "/s");
        assert_eq!(with(Query::Keep(vec!["q".into(), "absent".into()])), "/s?q=b+c");
        assert_eq!(with(Query::All), "/s?Q=1&page=2&q=b+c");
    }

    #[test]
    fn hosts_slashes_and_routes_are_a_choice() {
        let rules = UrlRules { host: true, query: Query::Drop, routes: false, slash: true };
        assert_eq!(rules.page("http://A.example:8000/x/#/y"), "a.example:8000/x/");
        assert_eq!(rules.page("/x/"), "/x/");
    }

    proptest! {
        /// A page is a fixed point: who normalises twice, on the way in and in a tool, changes nothing.
        #[test]
        fn a_page_of_a_page_is_itself(address in "(https?://[a-z.]{1,9})?[/a-z?&=#%. äß]{0,24}", slash: bool, all: bool, routes: bool) {
            let rules = UrlRules { host: false, query: if all { Query::All } else { Query::Drop }, routes, slash };
            let page = rules.page(&address);
            prop_assert_eq!(rules.page(&page), page);
        }

        #[test]
        fn nothing_makes_it_panic(address in any::<String>()) {
            let _ = UrlRules { host: true, query: Query::All, routes: true, slash: false }.page(&address);
        }
    }
}
