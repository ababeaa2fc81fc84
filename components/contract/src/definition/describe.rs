//! A definition for others to read: the published JSON description, and a page of text for a terminal.

use std::fmt;
use std::ops::Bound;

use serde_json::{Map, Value, json};

use super::{Artifact, ArtifactGroup, Definition, Kind, Parameter, Range};

impl Definition {
    /// The description in the published form (`component desc`), with a JSON schema for each parameter.
    pub fn to_json(&self) -> Value {
        let of = |artifacts: &[Artifact], group: ArtifactGroup| -> Value {
            let group = artifacts.iter().filter(|artifact| artifact.group == group);
            Value::Object(group.map(|artifact| (artifact.name.to_owned(), artifact.to_json())).collect())
        };
        let parameters = self.parameters.iter().map(|p| (p.name.to_owned(), p.to_json()));
        json!({
            "component": {
                "name": self.name,
                "description": self.description,
                "provider": self.provider,
                "version": self.version,
                "labels": self.labels,
                "roles": self.roles,
                "parameters": parameters.collect::<Map<_, _>>(),
                "input_artifacts": {
                    "data": of(&self.inputs, ArtifactGroup::Data),
                    "model": of(&self.inputs, ArtifactGroup::Model),
                },
                "output_artifacts": {
                    "data": of(&self.outputs, ArtifactGroup::Data),
                    "model": of(&self.outputs, ArtifactGroup::Model),
                    "metric": of(&self.outputs, ArtifactGroup::Metric),
                },
            },
            "schema_version": "v1",
        })
    }
}

impl Artifact {
    fn to_json(&self) -> Value {
        json!({
            "types": self.types,
            "optional": self.optional,
            "stages": if self.stages.is_empty() { Value::Null } else { json!(self.stages) },
            "roles": self.roles,
            "description": self.description,
            "is_multi": self.multi,
        })
    }
}

impl Parameter {
    fn to_json(&self) -> Value {
        json!({
            "type": self.kind.type_name(),
            "default": self.default,
            "optional": !self.required,
            "description": self.description,
            "type_meta": self.kind.schema(),
        })
    }
}

impl Kind {
    /// The kind as JSON schema.
    fn schema(&self) -> Value {
        match self {
            Kind::Bool => json!({"type": "boolean"}),
            Kind::Int(range) => range.schema("integer"),
            Kind::Float(range) => range.schema("number"),
            Kind::Text => json!({"type": "string"}),
            Kind::Choice(names) => json!({"enum": names}),
            Kind::List(of) => json!({"type": "array", "items": of.schema()}),
            Kind::Map(of) => json!({"type": "object", "additionalProperties": of.schema()}),
            Kind::Record(fields) => {
                let properties = fields.iter().map(|f| (f.name.to_owned(), f.kind.schema()));
                let required: Vec<_> = fields.iter().filter(|f| f.required).map(|f| f.name).collect();
                json!({
                    "type": "object",
                    "properties": properties.collect::<Map<_, _>>(),
                    "required": required,
                    "additionalProperties": false,
                })
            }
            Kind::Union(kinds) => json!({"anyOf": kinds.iter().map(Kind::schema).collect::<Vec<_>>()}),
            Kind::Any => json!({}),
        }
    }
}

impl<T: Copy + Into<Value>> Range<T> {
    fn schema(&self, number: &str) -> Value {
        let mut schema = Map::from_iter([("type".to_owned(), number.into())]);
        let mut bound = |bound, inclusive: &str, exclusive: &str| match bound {
            Bound::Included(end) => drop(schema.insert(inclusive.to_owned(), T::into(end))),
            Bound::Excluded(end) => drop(schema.insert(exclusive.to_owned(), T::into(end))),
            Bound::Unbounded => {}
        };
        bound(self.low, "minimum", "exclusiveMinimum");
        bound(self.high, "maximum", "exclusiveMaximum");
        schema.into()
    }
}

/// The help page.
impl fmt::Display for Definition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{} ({} {})", self.name, self.provider, self.version)?;
        if !self.description.is_empty() {
            writeln!(out, "{}", self.description)?;
        }
        writeln!(out, "\nroles   {}", self.roles.join(", "))?;
        writeln!(out, "stages  {}", list(&self.stages))?;
        if !self.parameters.is_empty() {
            writeln!(out, "\nparameters")?;
            table(out, parameter_rows(&self.parameters, ""))?;
        }
        for (title, artifacts) in [("inputs", &self.inputs), ("outputs", &self.outputs)] {
            if !artifacts.is_empty() {
                writeln!(out, "\n{title}")?;
                table(out, artifacts.iter().map(artifact_row).collect())?;
            }
        }
        Ok(())
    }
}

/// Rows for parameters, and indented below each record rows for its fields.
fn parameter_rows(parameters: &[Parameter], indent: &str) -> Vec<[String; 3]> {
    let rows = parameters.iter().map(|parameter| {
        let default = match (&parameter.default, parameter.required) {
            (_, true) => "required".to_owned(),
            (Some(default), false) => format!("= {default}"),
            (None, false) => String::new(),
        };
        let what = match &parameter.kind {
            Kind::Record(_) => "a map".to_owned(),
            kind => kind.to_string(),
        };
        let about = sentence([what, parameter.description.to_owned(), stages(&parameter.stages)]);
        let fields = match &parameter.kind {
            Kind::Record(fields) => parameter_rows(fields, &format!("{indent}  ")),
            _ => Vec::new(),
        };
        std::iter::once([format!("{indent}{}", parameter.name), default, about])
            .chain(fields)
            .collect::<Vec<_>>()
    });
    rows.flatten().collect()
}

fn artifact_row(artifact: &Artifact) -> [String; 3] {
    let types: Vec<_> = artifact.types.iter().map(|t| t.as_str()).collect();
    let many = if artifact.multi { "list of " } else { "" };
    let what = format!("{many}{}", types.join(" or "));
    let roles = match artifact.roles.as_slice() {
        [] => String::new(),
        roles => format!("at {}", roles.join(", ")),
    };
    let optional = if artifact.optional { "optional".to_owned() } else { String::new() };
    let about = sentence([optional, artifact.description.to_owned(), stages(&artifact.stages), roles]);
    [artifact.name.to_owned(), what, about]
}

fn sentence(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

fn stages(stages: &[super::Stage]) -> String {
    if stages.is_empty() { String::new() } else { format!("stages {}", list(stages)) }
}

fn list(items: &[impl fmt::Display]) -> String {
    items.iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

fn table(out: &mut fmt::Formatter<'_>, rows: Vec<[String; 3]>) -> fmt::Result {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    for [name, middle, last] in &rows {
        writeln!(out, "{}", format!("  {name:first$}  {middle:second$}  {last}").trim_end())?;
    }
    Ok(())
}
