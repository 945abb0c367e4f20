//! Shares as bars, in the terminal and as SVG; moves as bands from the old variants to the new.

use std::fmt::Write;

use super::Simulated;
use super::movement::Movement;
use super::report::grouped;
use super::tally::Share;

/// Characters of the longest bar.
const BAR: usize = 50;
/// Eighths of a character.
const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// Colours that also those who see no red or green tell apart (Okabe and Ito).
const COLOURS: [&str; 7] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999"];

const WIDTH: f64 = 760.0;
const LABELS: f64 = 180.0;
const ROW: f64 = 26.0;
const BANDS: f64 = 240.0;

/// Bars, one for each part, with a mark where it was meant to end.
pub(super) fn terminal(simulated: &Simulated) -> String {
    let mut text = String::new();
    for share in &simulated.shares {
        let _ = writeln!(text, "\n{}, by {}", share.model, share.by);
        let width = share.parts.iter().map(|part| part.name.chars().count()).max().unwrap_or_default();
        for part in &share.parts {
            let mut bar = bar(part.share);
            if let Some(cell) = part.meant.and_then(|meant| bar.get_mut((meant * BAR as f64) as usize)) {
                *cell = '│';
            }
            let bar: String = bar.into_iter().collect();
            let _ = writeln!(text, "  {:<width$} {bar} {:.1} %", part.name, part.share * 100.0);
        }
    }
    text
}

fn bar(share: f64) -> Vec<char> {
    let eighths = (share * (BAR * 8) as f64).round() as usize;
    let mut cells = vec!['█'; eighths / 8];
    cells.extend(EIGHTHS.get(eighths % 8).filter(|_| !eighths.is_multiple_of(8)));
    cells.resize(BAR + 1, ' ');
    cells
}

/// A whole SVG document.
pub(super) fn svg(simulated: &Simulated) -> String {
    let mut body = String::new();
    let mut y = 10.0;
    for share in &simulated.shares {
        y = share_rows(&mut body, share, y);
    }
    for movement in simulated.movements.iter().flatten() {
        y = bands(&mut body, movement, y);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

/// The rows of one draw; returns where the next begins.
fn share_rows(svg: &mut String, share: &Share, mut y: f64) -> f64 {
    let test = share.test.map(|test| format!(", χ² {:.2}, p = {:.4}", test.statistic, test.p)).unwrap_or_default();
    let title = format!("{}, by {}: {} requests{test}", share.model, share.by, grouped(share.requests));
    push_text(svg, 10.0, y + 14.0, "start", &title, "bold");
    y += ROW;
    let scale = WIDTH - LABELS - 90.0;
    for (index, part) in share.parts.iter().enumerate() {
        push_text(svg, LABELS - 8.0, y + 14.0, "end", &part.name, "normal");
        let width = part.share * scale;
        let _ = writeln!(
            svg,
            "<rect x=\"{LABELS}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"18\" fill=\"{}\"/>",
            colour(index)
        );
        if let Some(meant) = part.meant {
            let x = LABELS + meant * scale;
            let _ = writeln!(svg, "<path d=\"M{x:.1} {:.1}v22\" stroke=\"black\" stroke-width=\"2\"/>", y - 2.0);
        }
        let end = LABELS + part.share.max(part.meant.unwrap_or_default()) * scale + 6.0;
        push_text(svg, end, y + 14.0, "start", &format!("{:.2} %", part.share * 100.0), "normal");
        y += ROW;
    }
    y + 14.0
}

/// Users before on the left, after on the right, as high as they are many.
fn bands(svg: &mut String, movement: &Movement, mut y: f64) -> f64 {
    let title = format!("{}: {} of {} move", movement.model, grouped(movement.moved), grouped(movement.users));
    push_text(svg, 10.0, y + 14.0, "start", &title, "bold");
    y += ROW;
    let (left, right) = (LABELS, WIDTH - LABELS);
    let users = movement.users.max(1) as f64;
    let column = |index: usize| movement.matrix.iter().filter_map(move |row| row.get(index)).sum::<u64>();
    let mut ends: Vec<f64> = Vec::new();
    let mut end_y = y;
    for (index, name) in movement.variants.iter().enumerate() {
        ends.push(end_y);
        let height = column(index) as f64 / users * BANDS;
        push_side(svg, right, end_y, height, name, index, "start");
        end_y += height + 4.0;
    }
    let mut start_y = y;
    for (from, (name, row)) in movement.variants.iter().zip(&movement.matrix).enumerate() {
        let total: u64 = row.iter().sum();
        push_side(svg, left, start_y, total as f64 / users * BANDS, name, from, "end");
        for (count, end) in row.iter().zip(&mut ends) {
            let height = *count as f64 / users * BANDS;
            if height > 0.0 {
                push_band(svg, [left + 10.0, right], [start_y, *end], height, colour(from));
            }
            start_y += height;
            *end += height;
        }
        start_y += 4.0;
    }
    y + BANDS + 4.0 * movement.variants.len() as f64 + 20.0
}

fn push_side(svg: &mut String, x: f64, y: f64, height: f64, name: &str, index: usize, anchor: &str) {
    if height <= 0.0 {
        return;
    }
    let _ = writeln!(
        svg,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"10\" height=\"{height:.1}\" fill=\"{}\"/>",
        colour(index)
    );
    let text_x = if anchor == "end" { x - 8.0 } else { x + 18.0 };
    push_text(svg, text_x, y + height / 2.0 + 5.0, anchor, name, "normal");
}

fn push_band(svg: &mut String, [left, right]: [f64; 2], [from, to]: [f64; 2], height: f64, colour: &str) {
    let middle = f64::midpoint(left, right);
    let (from_end, to_end) = (from + height, to + height);
    let _ = writeln!(
        svg,
        "<path d=\"M{left:.1} {from:.1}C{middle:.1} {from:.1} {middle:.1} {to:.1} {right:.1} {to:.1}V{to_end:.1}\
         C{middle:.1} {to_end:.1} {middle:.1} {from_end:.1} {left:.1} {from_end:.1}Z\" fill=\"{colour}\" fill-opacity=\"0.45\"/>"
    );
}

fn push_text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str, weight: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-weight=\"{weight}\">{text}</text>"
    );
}

fn colour(index: usize) -> &'static str {
    COLOURS.get(index % COLOURS.len()).copied().unwrap_or("black")
}
