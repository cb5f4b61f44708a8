//! The one hunk of a unified diff that a replacement gives.

use guest_proto::Hunk;

const CONTEXT_LINES: usize = 3;
/// Larger changes are shown as all lines out, all lines in.
const MAX_CELLS: usize = 4_000_000;

/// The change as one hunk with three lines of context; `None` if there is none.
pub(super) fn hunk(before: &str, after: &str) -> Option<Hunk> {
    // With their newlines: a line that only gains or loses one has changed.
    let old: Vec<&str> = before.split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    let same_start = common(old.iter(), new.iter());
    if same_start == old.len() && same_start == new.len() {
        return None;
    }
    let same_end = common(
        old[same_start..].iter().rev(),
        new[same_start..].iter().rev(),
    );
    let old_end = old.len() - same_end;
    let new_end = new.len() - same_end;
    let start = same_start.saturating_sub(CONTEXT_LINES);
    let after_change = same_end.min(CONTEXT_LINES);

    let mut lines = Vec::new();
    lines.extend(old[start..same_start].iter().map(|line| shown(' ', line)));
    change(
        &old[same_start..old_end],
        &new[same_start..new_end],
        &mut lines,
    );
    lines.extend(
        old[old_end..old_end + after_change]
            .iter()
            .map(|line| shown(' ', line)),
    );
    let old_lines = old_end + after_change - start;
    let new_lines = new_end + after_change - start;
    // As `diff` has it: a side without lines is named by the line before.
    let first = |count: usize| if count == 0 { start } else { start + 1 } as u64;
    Some(Hunk {
        old_start: first(old_lines),
        old_lines: old_lines as u64,
        new_start: first(new_lines),
        new_lines: new_lines as u64,
        lines,
    })
}

fn common<'a>(a: impl Iterator<Item = &'a &'a str>, b: impl Iterator<Item = &'a &'a str>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).count()
}

fn shown(prefix: char, line: &str) -> String {
    format!("{prefix}{}", line.strip_suffix('\n').unwrap_or(line))
}

/// The lines between the common start and the common end, with as many kept as possible.
fn change(old: &[&str], new: &[&str], lines: &mut Vec<String>) {
    let columns = new.len() + 1;
    let cells = (old.len() + 1).saturating_mul(columns);
    if old.is_empty() || new.is_empty() || cells > MAX_CELLS {
        lines.extend(old.iter().map(|line| shown('-', line)));
        lines.extend(new.iter().map(|line| shown('+', line)));
        return;
    }
    // kept[i * columns + j]: most lines that old[i..] and new[j..] have in common, in order.
    let mut kept = vec![0u32; cells];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            kept[i * columns + j] = if old[i] == new[j] {
                kept[(i + 1) * columns + j + 1] + 1
            } else {
                kept[(i + 1) * columns + j].max(kept[i * columns + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut added = Vec::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.append(&mut added);
            lines.push(shown(' ', old[i]));
            i += 1;
            j += 1;
        } else if i < old.len()
            && (j == new.len() || kept[(i + 1) * columns + j] >= kept[i * columns + j + 1])
        {
            lines.push(shown('-', old[i]));
            i += 1;
        } else {
            // Held back: of one run of changes, what goes comes first.
            added.push(shown('+', new[j]));
            j += 1;
        }
    }
    lines.append(&mut added);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(before: &str, after: &str) -> String {
        let hunk = hunk(before, after).unwrap();
        let old = hunk.lines.iter().filter(|line| !line.starts_with('+'));
        assert_eq!(old.count() as u64, hunk.old_lines);
        let new = hunk.lines.iter().filter(|line| !line.starts_with('-'));
        assert_eq!(new.count() as u64, hunk.new_lines);
        format!(
            "@@ -{},{} +{},{} @@\n{}",
            hunk.old_start,
            hunk.old_lines,
            hunk.new_start,
            hunk.new_lines,
            hunk.lines.join("\n")
        )
    }

    #[test]
    fn a_changed_line_has_three_lines_of_context_on_each_side() {
        assert_eq!(
            show(
                "1\n2\n3\n4\n5\n6\n7\n8\n9\n",
                "1\n2\n3\n4\nfive\n6\n7\n8\n9\n"
            ),
            "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8"
        );
    }

    #[test]
    fn only_added_and_only_deleted_lines_are_counted_right() {
        assert_eq!(
            show("a\nb\n", "a\nx\ny\nb\n"),
            "@@ -1,2 +1,4 @@\n a\n+x\n+y\n b"
        );
        assert_eq!(
            show("a\nx\ny\nb\n", "a\nb\n"),
            "@@ -1,4 +1,2 @@\n a\n-x\n-y\n b"
        );
        assert_eq!(show("a\n", "a\nb\n"), "@@ -1,1 +1,2 @@\n a\n+b");
        assert_eq!(show("a\n", ""), "@@ -1,1 +0,0 @@\n-a");
    }

    #[test]
    fn unchanged_lines_between_two_changes_stay_in_the_one_hunk() {
        assert_eq!(
            show(
                "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n",
                "A\nb\nc\nd\ne\nf\ng\nh\ni\nJ\n"
            ),
            "@@ -1,10 +1,10 @@\n-a\n+A\n b\n c\n d\n e\n f\n g\n h\n i\n-j\n+J"
        );
    }

    #[test]
    fn within_one_run_deletions_come_first() {
        assert_eq!(
            show("k\na\nb\nk2\n", "k\nc\nd\nk2\n"),
            "@@ -1,4 +1,4 @@\n k\n-a\n-b\n+c\n+d\n k2"
        );
    }

    #[test]
    fn a_missing_newline_at_the_end_is_a_change_of_that_line() {
        assert_eq!(show("a\nb", "a\nb\n"), "@@ -1,2 +1,2 @@\n a\n-b\n+b");
        assert_eq!(show("a", "b"), "@@ -1,1 +1,1 @@\n-a\n+b");
    }

    #[test]
    fn no_change_is_no_hunk() {
        assert_eq!(hunk("a\nb\n", "a\nb\n"), None);
    }
}
