//! Common paths: the most frequent ways over three and over four pages.

use clickstream_event::rows::CommonPath;

use super::Place;
use crate::journeys::PATH_LENGTHS;
use crate::paths::Path;

pub(super) fn rows(lengths: [Vec<(u32, Vec<Path>)>; 2], place: Place<'_>) -> Vec<CommonPath> {
    let mut rows = Vec::new();
    for (length, sites) in PATH_LENGTHS.into_iter().zip(lengths) {
        for (site, paths) in sites {
            let name = |page: &u32| place.names.pages.text(*page).to_owned();
            rows.extend(paths.iter().zip(1..).map(|(path, rank)| CommonPath {
                site_id: place.site(site),
                window_start: place.start,
                window_end: place.end,
                length: length as u32,
                rank,
                pages: path.pages.iter().map(name).collect(),
                path_count: u64::from(path.count),
            }));
        }
    }
    rows
}
