//! A job of one party as one HTML page: its graph, times, traffic, metrics with pictures, and models.
//!
//! The page is one file that refers to nothing: pictures are SVG within it, styles too, and no script is needed. It is made of
//! what is recorded, whenever somebody asks; nothing is stored for it. Text of job files and of peers is escaped at one place,
//! [`html`].

#![warn(missing_docs)]

mod html;
mod canvas;
mod chart;
mod graph;
mod evaluation;
mod metrics;

use serde_json::{Map, Value};
use tributary_component::Metric;
use tributary_core::Result;

use html::{Html, bytes, seconds};

/// What a page shows.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The job's id.
    pub job: String,
    /// Names and values about the job as a whole.
    pub facts: Vec<(String, String)>,
    /// The tasks of the job, in the order in which they ran.
    pub tasks: Vec<Task>,
}

/// One party's part of a task.
#[derive(Debug, Clone, Default)]
pub struct Task {
    /// Its name in the job.
    pub name: String,
    /// The component it runs.
    pub component: String,
    /// Whose part.
    pub party: String,
    /// How it ended.
    pub status: String,
    /// Tasks that had to be done before it.
    pub after: Vec<String>,
    /// How long its last attempt took.
    pub seconds: Option<f64>,
    /// Rows of its output tables.
    pub rows: u64,
    /// Bytes that went to other parties.
    pub sent: u64,
    /// Bytes that came from them.
    pub received: u64,
    /// Round trips.
    pub rounds: u64,
    /// Why it failed.
    pub error: Option<String>,
    /// What it measured.
    pub metrics: Vec<Metric>,
    /// What it learned, by output key.
    pub models: Map<String, Value>,
}

impl Page {
    /// The page.
    pub fn html(&self) -> Result<String> {
        let mut html = Html::default();
        html.raw(include_str!("head.html"));
        html.raw("<title>").text(&self.job).raw("</title></head><body><h1>").text(&self.job).raw("</h1>");
        html.raw("<dl>");
        for (name, value) in &self.facts {
            html.raw("<dt>").text(name).raw("</dt><dd>").text(value).raw("</dd>");
        }
        html.raw("</dl>");
        html.raw("<figure>").raw(&graph::svg(&self.tasks)?).raw("</figure>");
        self.summary(&mut html);
        for task in self.tasks.iter().filter(|task| task.shows_something()) {
            task.section(&mut html)?;
        }
        html.raw("</body></html>\n");
        Ok(html.done())
    }

    fn summary(&self, html: &mut Html) {
        let most = self.tasks.iter().filter_map(|task| task.seconds).fold(0.0, f64::max);
        html.raw("<div class=wide><table><tr>");
        for (column, is_number) in COLUMNS {
            html.raw(if is_number { "<th class=n>" } else { "<th>" }).text(column).raw("</th>");
        }
        html.raw("</tr>");
        for task in &self.tasks {
            let share =
                task.seconds.map_or(0.0, |seconds| if most > 0.0 { 100.0 * seconds / most } else { 0.0 });
            html.raw("<tr><td>").text(&task.name).raw("</td><td>").text(&task.component).raw("</td><td>");
            html.text(&task.party).raw("</td><td class=\"").text(&task.status.replace(' ', "-")).raw("\">");
            html.text(&task.status)
                .raw("</td><td class=n>")
                .text(&task.seconds.map_or(String::new(), seconds));
            html.raw(&format!("</td><td class=bar><i style=\"width:{share:.1}%\"></i></td>"));
            let count = |n: u64| if n == 0 { String::new() } else { n.to_string() };
            let traffic = |n: u64| if n == 0 { String::new() } else { bytes(n) };
            let cells = [count(task.rows), traffic(task.sent), traffic(task.received), count(task.rounds)];
            for cell in cells {
                html.raw("<td class=n>").text(&cell).raw("</td>");
            }
            html.raw("</tr>");
        }
        html.raw("</table></div>");
    }
}

/// Columns of the table of tasks, and whether they hold numbers.
const COLUMNS: [(&str, bool); 10] = [
    ("task", false),
    ("component", false),
    ("party", false),
    ("status", false),
    ("time", true),
    ("", false),
    ("rows", true),
    ("sent", true),
    ("received", true),
    ("rounds", true),
];

/// Characters of a model that are shown.
const MODEL_SHOWN: usize = 20_000;

impl Task {
    fn shows_something(&self) -> bool {
        self.error.is_some() || !self.metrics.is_empty() || !self.models.is_empty()
    }

    fn section(&self, html: &mut Html) -> Result<()> {
        html.raw("<section><h2>").text(&self.name).raw(" <small>").text(&self.component).raw(", ");
        html.text(&self.party).raw("</small></h2>");
        if let Some(error) = &self.error {
            html.raw("<p class=failed>").text(error).raw("</p>");
        }
        for metric in &self.metrics {
            metrics::show(html, metric)?;
        }
        for (key, model) in &self.models {
            let text = serde_json::to_string_pretty(model).unwrap_or_default();
            let (shown, is_cut) = cut(&text, MODEL_SHOWN);
            html.raw("<details><summary>model ").text(key).raw("</summary><pre>").text(shown);
            html.raw(if is_cut { "\n…" } else { "" }).raw("</pre></details>");
        }
        html.raw("</section>");
        Ok(())
    }
}

/// The first characters of a text, and whether there are more.
fn cut(text: &str, most: usize) -> (&str, bool) {
    text.char_indices().nth(most).map_or((text, false), |(end, _)| (&text[..end], true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page() -> Page {
        let eval = json!({"sbt_0": {"train_set": [
            {"metric": "auc", "val": 0.75},
            [{"metric": "ks", "val": 0.5}, {"metric": "ks_table", "val": {
                "tpr": [0.0, 0.5, 1.0], "fpr": [0.0, 0.0, 1.0], "threshold": [0.9, 0.5, 0.0], "cuts": [0.0, 0.5, 1.0]}}],
            {"metric": "lift", "val": {"liftx": [[1.0, 0.0], [0.5, 0.5]], "lifty": [[1.0, 1.0], [1.0, 2.0]], "threshold": [0.9, 0.5]}},
            {"metric": "gain", "val": {"gainx": [[1.0, 0.0], [0.5, 0.5]], "gainy": [[1.0, 0.0], [0.5, 0.8]], "threshold": [0.9, 0.5]}},
            {"metric": "biclass_precision_table", "val": {"p": [1.0, 0.8], "threshold": [0.9, 0.5], "cuts": [0.0, 0.5]}},
            {"metric": "biclass_recall_table", "val": {"r": [0.0, 0.7], "threshold": [0.9, 0.5], "cuts": [0.0, 0.5]}},
            [{"metric": "psi_table", "val": {"interval": ["[0, 1)", "[1, 2]"], "expected_percentage": [0.5, 0.5],
                "actual_percentage": [0.25, 0.75]}}, {"metric": "total_psi", "val": 0.27}],
        ]}});
        let loss: Vec<Value> =
            (0..3).map(|i| json!({"metric": 1.0 / f64::from(i + 1), "step": i, "timestamp": 0})).collect();
        let tasks = vec![
            Task {
                name: "reader_0".into(),
                status: "success".into(),
                seconds: Some(0.25),
                ..Task::default()
            },
            Task {
                name: "eval_0".into(),
                after: vec!["reader_0".into()],
                metrics: vec![
                    Metric::one_off("evaluation", Some("evaluation"), eval),
                    Metric {
                        step_axis: Some("iterations".into()),
                        ..Metric::one_off("sbt_loss", Some("loss"), loss.into())
                    },
                    Metric::one_off("summary", None, json!({"count": 7})),
                    Metric::one_off("list", None, json!([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])),
                ],
                models: json!({"output_model": {"data": [1, 2]}}).as_object().unwrap().clone(),
                ..Task::default()
            },
        ];
        Page { job: "job".into(), facts: vec![("status".into(), "success".into())], tasks }
    }

    #[test]
    fn a_page_is_whole_refers_to_nothing_and_has_every_picture() {
        let html = page().html().unwrap();
        assert!(html.starts_with("<!DOCTYPE html>") && html.trim_end().ends_with("</html>"));
        for (tag, least) in [("svg", 8), ("table", 4), ("section", 1), ("details", 1)] {
            let (open, close) =
                (html.matches(&format!("<{tag}")).count(), html.matches(&format!("</{tag}>")).count());
            assert!(open == close && open >= least, "{tag}: {open} {close}");
        }
        for title in
            ["ROC", "Kolmogorov", "Lift", "Gain", "Precision and recall", "Stability", "sbt_loss", "reader_0"]
        {
            assert!(html.contains(title), "{title}");
        }
        let outside = html.replace("http://www.w3.org/2000/svg", "");
        for word in ["http", "<script", "src=", "@import", "url("] {
            assert!(!outside.contains(word), "{word}");
        }
    }

    #[test]
    fn text_of_others_is_text_wherever_it_is_shown() {
        let evil = "<script>alert('x')</script>&\"";
        let mut page = page();
        page.job = evil.into();
        page.facts[0].1 = evil.into();
        let task = &mut page.tasks[1];
        (task.name, task.party, task.component, task.status) =
            (evil.into(), evil.into(), evil.into(), evil.into());
        task.error = Some(evil.into());
        task.models.insert(evil.into(), evil.into());
        task.metrics.push(Metric::one_off(evil, None, json!({evil: evil})));
        task.metrics.push(Metric::one_off(
            "evaluation",
            Some("evaluation"),
            json!({evil: {evil: [
                {"metric": evil, "val": 1}, {"metric": "ks_table", "val": {"tpr": [evil], "fpr": [1]}},
            ]}}),
        ));
        let html = page.html().unwrap();
        assert!(!html.contains("<script") && html.contains("&lt;script&gt;"), "escaped");
    }

    #[test]
    fn a_job_without_anything_is_a_page_too() {
        let html = Page { job: "empty".into(), ..Page::default() }.html().unwrap();
        assert!(html.contains("<h1>empty</h1>"));
    }
}
