//! Texts, wherever they stand, and what they are taken from.

use super::rest;
use crate::decode::{Decoded, Node};

/// One kind of citation: its `type`, and the members that it must have.
struct Location {
    tag: &'static str,
    texts: &'static [&'static str],
    numbers: &'static [&'static str],
    /// The title of what is cited: null where it has none. The SDKs' types want it said; a history of which
    /// somebody has left out what is null passes.
    title: &'static str,
}

const LOCATIONS: [Location; 5] = [
    Location {
        tag: "char_location",
        texts: &["cited_text"],
        numbers: &["document_index", "start_char_index", "end_char_index"],
        title: "document_title",
    },
    Location {
        tag: "content_block_location",
        texts: &["cited_text"],
        numbers: &["document_index", "start_block_index", "end_block_index"],
        title: "document_title",
    },
    Location {
        tag: "page_location",
        texts: &["cited_text"],
        numbers: &["document_index", "start_page_number", "end_page_number"],
        title: "document_title",
    },
    Location {
        tag: "search_result_location",
        texts: &["cited_text", "source"],
        numbers: &[
            "search_result_index",
            "start_block_index",
            "end_block_index",
        ],
        title: "title",
    },
    Location {
        tag: "web_search_result_location",
        texts: &["cited_text", "encrypted_index", "url"],
        numbers: &[],
        title: "title",
    },
];

/// A text, and whether it has citations.
pub(super) struct Text<'a> {
    pub(super) text: &'a str,
    pub(super) cited: bool,
}

/// Decodes a text block; its type is known.
pub(super) fn text<'b>(block: &'b Node<'_>) -> Decoded<Text<'b>> {
    let text = block.required("text")?.string()?;
    let cited = match block.optional("citations")? {
        Some(citations) => check_citations(&citations)? > 0,
        None => false,
    };
    Ok(Text { text, cited })
}

/// Decodes a text that stands where nothing else may: there is no union, and no tag in the path (F144).
pub(super) fn bare<'b>(block: &'b Node<'_>) -> Decoded<Text<'b>> {
    block.required("type")?.literal(&["text"])?;
    rest::check_cache_control(block)?;
    text(block)
}

/// Checks the `citations` of a text; how many there are.
fn check_citations(citations: &Node<'_>) -> Decoded<usize> {
    let items = citations.items()?;
    let count = items.len();
    for citation in items {
        let tag = citation.tag(&LOCATIONS.map(|location| location.tag))?;
        let located = citation.tagged(tag);
        let mut known = LOCATIONS.iter();
        let Some(location) = known.find(|location| location.tag == tag) else {
            continue;
        };
        for key in location.texts {
            located.required(key)?.string()?;
        }
        for key in location.numbers {
            located.required(key)?.whole()?;
        }
        rest::check_texts(&located, &[location.title])?;
    }
    Ok(count)
}

/// `citations` of what may be cited: whether it is to be, if that is said.
pub(super) fn cites(node: &Node<'_>) -> Decoded<Option<bool>> {
    let Some(config) = node.optional("citations")? else {
        return Ok(None);
    };
    config.object()?;
    let enabled = config.optional("enabled")?;
    enabled.map(|flag| flag.boolean()).transpose()
}

/// Decodes a `search_result`: whether a text in it has citations.
pub(super) fn search_result(block: &Node<'_>) -> Decoded<bool> {
    block.required("source")?.string()?;
    block.required("title")?.string()?;
    cites(block)?;
    let mut cited = false;
    for item in block.required("content")?.items()? {
        cited |= bare(&item)?.cited;
    }
    Ok(cited)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn fault(block: &Value) -> Option<String> {
        let fault = text(&Node::root(block)).err();
        fault.map(|fault| fault.to_string())
    }

    fn cited(citation: &Value) -> Value {
        json!({"type": "text", "text": "a", "citations": [citation]})
    }

    #[test]
    fn citations_are_taken_as_they_are_sent() {
        for citation in [
            json!({"type": "char_location", "cited_text": "a", "document_index": 0, "document_title": null,
                   "start_char_index": 0, "end_char_index": 1, "file_id": null}),
            json!({"type": "page_location", "cited_text": "a", "document_index": 0, "document_title": "t",
                   "start_page_number": 1, "end_page_number": 2}),
            json!({"type": "content_block_location", "cited_text": "a", "document_index": 0,
                   "start_block_index": 0, "end_block_index": 1}),
            json!({"type": "search_result_location", "cited_text": "a", "search_result_index": 0, "source": "s",
                   "title": null, "start_block_index": 0, "end_block_index": 1}),
            json!({"type": "web_search_result_location", "cited_text": "a", "encrypted_index": "e", "url": "u",
                   "title": null}),
        ] {
            assert_eq!(fault(&cited(&citation)), None, "{citation}");
        }
        for citations in [json!(null), json!([])] {
            let block = json!({"type": "text", "text": "a", "citations": citations});
            assert_eq!(fault(&block), None);
        }
    }

    #[test]
    fn a_wrong_citation_is_refused_by_its_path() {
        let of_all = json!({"type": "text", "text": "a", "citations": {"enabled": true}});
        assert_eq!(
            fault(&of_all).unwrap(),
            "citations: Input should be a valid array"
        );
        for (citation, expected) in [
            (
                json!({"type": "foo"}),
                "citations.0: Input tag 'foo' found using 'type' does not match any of the expected tags: \
                 'char_location', 'content_block_location', 'page_location', 'search_result_location', \
                 'web_search_result_location'",
            ),
            (
                json!({"type": "char_location"}),
                "citations.0.char_location.cited_text: Field required",
            ),
            (
                json!({"type": "page_location", "cited_text": "a", "document_index": "0"}),
                "citations.0.page_location.document_index: Input should be a valid integer",
            ),
            (
                json!({"type": "web_search_result_location", "cited_text": "a", "encrypted_index": "e", "url": "u",
                       "title": 5}),
                "citations.0.web_search_result_location.title: Input should be a valid string",
            ),
        ] {
            assert_eq!(fault(&cited(&citation)).unwrap(), expected);
        }
    }
}
