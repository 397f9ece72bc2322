//! Who may send for which site.

use std::collections::BTreeMap;

use crate::draft::Fault;

/// Sites have names of at most so many characters.
const MAX_NAME: usize = 100;

/// The sites, by what a tracker names itself by.
#[derive(Clone, Debug, Default)]
pub struct Sites {
    by_key: BTreeMap<String, String>,
    first: String,
}

/// Why an event belongs to no site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stranger {
    /// The key is none of those that are configured, or there is none.
    UnknownKey,
    /// The key is another site's.
    OtherSite,
    /// The name cannot be a site's.
    Name(Fault),
}

impl Sites {
    /// Keys with their sites; without any, whoever reaches the collector may send for any site. `first` is the site of events that
    /// name none.
    pub fn new(keys: impl IntoIterator<Item = (String, String)>, first: String) -> Self {
        Self { by_key: keys.into_iter().collect(), first }
    }

    /// Whether a key is needed.
    pub fn need_key(&self) -> bool {
        !self.by_key.is_empty()
    }

    /// The site of events that name none.
    pub fn first(&self) -> &str {
        &self.first
    }

    /// The site of an event whose tracker names itself by `key`, and which itself names `site`.
    pub fn site(&self, key: Option<&str>, site: Option<&str>) -> Result<String, Stranger> {
        if self.need_key() {
            let own = key.and_then(|key| self.by_key.get(key)).ok_or(Stranger::UnknownKey)?;
            return match site {
                Some(site) if site != own => Err(Stranger::OtherSite),
                _ => Ok(own.clone()),
            };
        }
        let name = site.or(key).map(str::trim).filter(|name| !name.is_empty()).unwrap_or(&self.first);
        if name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(Stranger::Name(Fault::wrong(
                "site_id",
                "must be a name of at most 100 characters without control characters",
            )));
        }
        Ok(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_keys_any_name_is_a_site() {
        let sites = Sites::new([], "shop".into());
        assert_eq!(sites.site(None, None), Ok("shop".into()));
        assert_eq!(sites.site(Some("w"), None), Ok("w".into()));
        assert_eq!(sites.site(Some("w"), Some("blog")), Ok("blog".into()));
        assert!(matches!(sites.site(Some("a\u{1}"), None), Err(Stranger::Name(_))));
        assert!(matches!(sites.site(Some(&"x".repeat(101)), None), Err(Stranger::Name(_))));
    }

    #[test]
    fn with_keys_each_opens_one_site() {
        let sites = Sites::new([("k1".into(), "shop".into()), ("k2".into(), "blog".into())], "shop".into());
        assert_eq!(sites.site(Some("k2"), None), Ok("blog".into()));
        assert_eq!(sites.site(Some("k2"), Some("blog")), Ok("blog".into()));
        assert_eq!(sites.site(Some("k2"), Some("shop")), Err(Stranger::OtherSite));
        for key in [None, Some("shop"), Some("")] {
            assert_eq!(sites.site(key, None), Err(Stranger::UnknownKey));
        }
    }
}
