//! What keeps a sink from sending, in words, kept so that `status` can tell.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::page::{Found, Page};
use super::record::Record;
use super::segment::Segment;

/// What troubled a sink when the spool was last written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The sink.
    pub sink: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
    /// In words.
    pub text: String,
}

impl Trouble {
    /// Enters what a record says into the list: one trouble for each sink, an empty text ends it.
    pub(super) fn note(list: &mut Vec<Self>, sink: &str, since_ms: i64, text: &str) {
        list.retain(|trouble| trouble.sink != sink);
        if !text.is_empty() {
            list.push(Self { sink: sink.to_owned(), since_ms, text: text.to_owned() });
        }
    }
}

/// The last trouble of each sink that the segment tells of.
pub(super) fn troubles(segment: &Segment, page: &mut Page) -> Vec<Trouble> {
    let mut troubles: Vec<Trouble> = Vec::new();
    segment.pages(page, &mut |index, _, page| {
        for found in page.records(segment.id(index)) {
            if let Found::Record(_, Record::Trouble { sink, since_ms, text }) = found {
                Trouble::note(&mut troubles, &sink, since_ms, &text);
            }
        }
        ControlFlow::Continue(())
    });
    troubles
}
