//! The picture of a run: the loss and the error of every epoch, as an SVG that can be read on light and dark ground.

use std::fmt::Write;

use super::trainer::Epoch;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 52.0;
const GAP: f64 = 44.0;
const GREY: &str = "#808080";

/// Two panels above each other: the mean training loss, and the error of the test set with that of the untrained model
/// at epoch 0. The axes of values are logarithmic.
pub fn svg(title: &str, untrained: f64, epochs: &[Epoch]) -> String {
    let losses = epochs.iter().enumerate().map(|(k, epoch)| (k as f64 + 1.0, epoch.loss)).collect();
    let errors = epochs.iter().enumerate().map(|(k, epoch)| (k as f64 + 1.0, epoch.error));
    let errors = [(0.0, untrained)].into_iter().chain(errors).collect();
    let last = epochs.len().max(1) as f64;
    let panels = [
        Panel { name: "training loss", colour: "#3b82f6", points: losses, last, top: TOP },
        Panel { name: "test RMSE", colour: "#e0703a", points: errors, last, top: TOP + HEIGHT + GAP },
    ];
    let height = TOP + 2.0 * (HEIGHT + GAP);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"{GREY}\">\n"
    );
    let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{}</text>", escape(title));
    panels.iter().for_each(|panel| panel.draw(&mut out));
    let (x, y) = ((LEFT + WIDTH - RIGHT) / 2.0, height - 8.0);
    let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">epoch</text>\n</svg>");
    out
}

struct Panel {
    name: &'static str,
    colour: &'static str,
    points: Vec<(f64, f64)>,
    /// The last epoch.
    last: f64,
    top: f64,
}

impl Panel {
    fn draw(&self, out: &mut String) {
        let values = self.points.iter().map(|(_, value)| *value).filter(|value| value.is_finite() && *value > 0.0);
        let (low, high) = values.fold((f64::INFINITY, 0.0f64), |(low, high), x| (low.min(x), high.max(x)));
        // A loss of zero has no logarithm: it is drawn at the bottom, and one that is no number at the top.
        let (low, high) = if high > 0.0 { (low / 1.05, high * 1.05) } else { (0.1, 1.0) };
        let (low, high) = (low.max(f64::MIN_POSITIVE), high.clamp(2.0 * f64::MIN_POSITIVE, f64::MAX));
        let shown = |value: f64| if value.is_nan() { high } else { value.clamp(low, high) };
        let x = |epoch: f64| LEFT + epoch / self.last * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| self.top + HEIGHT * (high.ln() - shown(value).ln()) / (high.ln() - low.ln());
        let (top, bottom, right) = (self.top, self.top + HEIGHT, WIDTH - RIGHT);

        let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{}\" fill=\"{}\">{}</text>", top - 8.0, self.colour, self.name);
        for value in ticks(low, high) {
            let (y, text) = (y(value), tick(value));
            let _ = writeln!(
                out,
                "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"{GREY}\" stroke-opacity=\"0.3\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 8.0,
                y + 4.0
            );
        }
        let step = (1..).map(nice).find(|step| self.last / step <= 10.0).unwrap_or(self.last);
        for epoch in (0..=10).map(|k| f64::from(k) * step).filter(|epoch| *epoch <= self.last) {
            let x = x(epoch);
            let _ = writeln!(
                out,
                "<path d=\"M{x:.1} {bottom}v4\" stroke=\"{GREY}\"/>\
                 <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{epoch}</text>",
                bottom + 17.0
            );
        }
        let _ = writeln!(out, "<path d=\"M{LEFT} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"{GREY}\"/>");
        let points = self.points.iter().map(|(epoch, value)| format!("{:.1},{:.1}", x(*epoch), y(*value)));
        let (points, colour) = (points.collect::<Vec<_>>().join(" "), self.colour);
        let _ = writeln!(out, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
        if let Some((epoch, value)) = self.points.last() {
            let (x, y) = (x(*epoch), y(*value));
            let _ = writeln!(
                out,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"{colour}\">{value:.4}</text>",
                y - 8.0
            );
        }
    }
}

/// 1, 2, 5, 10, 20, 50, …
fn nice(k: i32) -> f64 {
    [1.0, 2.0, 5.0][((k - 1) % 3) as usize] * 10f64.powi((k - 1) / 3)
}

/// Values to write at an axis: round ones between the ends, at least three; where there are none, the ends.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let (from, to) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let stride = ((to - from) / 8 + 1) as usize;
    let of = |digits: &'static [f64]| {
        let powers = (from..=to).step_by(stride).map(|power| 10f64.powi(power));
        let all = powers.flat_map(move |power| digits.iter().map(move |digit| digit * power));
        all.filter(|value| (low..=high).contains(value)).collect::<Vec<f64>>()
    };
    let choices: [&[f64]; 3] = [&[1.0], &[1.0, 2.0, 5.0], &[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0]];
    choices.into_iter().map(of).find(|values| values.len() > 2).unwrap_or_else(|| vec![low, high])
}

/// `0.002`, `1.0e-7`: what a value is called at an axis.
fn tick(value: f64) -> String {
    if !(1e-3..1e5).contains(&value) {
        return format!("{value:.1e}");
    }
    let digits = (2.0 - value.log10().floor()).clamp(0.0, 5.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_values() {
        assert_eq!(ticks(0.9, 11.0), [1.0, 2.0, 5.0, 10.0]);
        assert_eq!(ticks(1.02, 3.4), [1.2, 1.5, 2.0, 2.5, 3.0]);
        assert_eq!(ticks(0.9e-9, 1.1e3).len(), 6, "every other power from 1e-8 to 1e2");
        assert_eq!(ticks(1.1, 1.14), [1.1, 1.14]);
        assert_eq!([0.02, 1.0, 1.234, 250.0, 1e-7, 20.0].map(tick), ["0.02", "1", "1.23", "250", "1.0e-7", "20"]);
        assert_eq!([1, 2, 3, 4, 5].map(nice), [1.0, 2.0, 5.0, 10.0, 20.0]);
    }

    #[test]
    fn a_picture_is_finite_whatever_the_losses_are() {
        let epoch = |loss, error| Epoch { loss, error };
        for epochs in
            [vec![], vec![epoch(0.0, 0.0)], vec![epoch(1.0, 2.0), epoch(1e-9, 1.0)], vec![epoch(1.0, 1.0); 500]]
                .into_iter()
                .chain([f64::MAX, 5e-324].map(|x| vec![epoch(x, 1.0), epoch(1.0, x), epoch(x, x)]))
        {
            let picture = svg("a < b", 3.0, &epochs);
            assert!(picture.contains("a &lt; b") && picture.ends_with("</svg>\n"));
            assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
        }
    }
}
