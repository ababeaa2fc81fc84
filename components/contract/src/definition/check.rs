//! Given parameters against declared ones: all mistakes at once, defaults filled in.
//!
//! Explicit null is absence at every level of a record, as the job files' own format has it. The result therefore
//! holds no null; what is absent from it has neither a value nor a default.

use serde_json::{Map, Number, Value};
use tributary_document::{Step, nearest, quoted, suggestion};

use super::{Definition, Kind, Parameter, Stage};

/// After this many problems, names are no longer searched for the one that was meant.
const HELPED: usize = 20;

/// Checked parameters of one task.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Parameters {
    /// Every parameter of the stage that has a value: given and in canonical form, or the default.
    pub values: Map<String, Value>,
    /// What was accepted but has no effect, for the job's notes.
    pub notes: Vec<String>,
}

/// A mistake in given parameters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ParameterProblem {
    /// Where, from the top of the parameters; empty for the task as a whole.
    pub path: Vec<Step>,
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    pub help: Option<String>,
}

impl ParameterProblem {
    /// A problem of a parameter; of one that is not given, if it should be.
    pub fn of(parameter: &str, message: impl Into<String>) -> Self {
        Self::of_task(message).key(parameter)
    }

    /// A problem of the task as a whole, such as its parties.
    pub fn of_task(message: impl Into<String>) -> Self {
        Self { path: Vec::new(), message: message.into(), help: None }
    }

    /// The same, further down: in a map or record.
    pub fn key(mut self, key: &str) -> Self {
        self.path.push(Step::Key(key.to_owned()));
        self
    }

    /// The same, further down: in a list, from 0.
    pub fn index(mut self, index: usize) -> Self {
        self.path.push(Step::Index(index));
        self
    }

    /// Says how to fix it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Definition {
    /// Checks the parameters of a task. A parameter of another stage is noted, since predict jobs repeat those of
    /// training; one of no stage is a problem.
    pub fn validate_parameters(
        &self,
        stage: Stage,
        given: &Map<String, Value>,
    ) -> Result<Parameters, Vec<ParameterProblem>> {
        let (used, unused): (Vec<&Parameter>, Vec<_>) =
            self.parameters.iter().partition(|parameter| parameter.is_at_stage(stage));
        let is_unused = |name: &str| unused.iter().any(|parameter| parameter.name == name);
        let mut check = Check::default();
        let values = check.fields(&used, given, &|name| is_unused(name));
        if !check.problems.is_empty() {
            return Err(check.problems);
        }
        let notes = given
            .keys()
            .filter(|name| is_unused(name))
            .map(|name| format!("parameter {name} has no effect at stage {stage}"))
            .collect();
        Ok(Parameters { values, notes })
    }
}

/// Defaults that their own kind refuses.
pub(super) fn defaults(parameters: &[Parameter]) -> Vec<String> {
    let mut check = Check::default();
    for parameter in parameters {
        if let Some(default) = &parameter.default {
            check.under(Step::Key(parameter.name.to_owned()), |check| check.value(&parameter.kind, default));
        }
    }
    check
        .problems
        .into_iter()
        .map(|problem| format!("default at {:?}: {}", problem.path, problem.message))
        .collect()
}

#[derive(Default)]
struct Check {
    path: Vec<Step>,
    problems: Vec<ParameterProblem>,
}

impl Check {
    fn problem(&mut self, message: String, help: Option<String>) {
        self.problems.push(ParameterProblem { path: self.path.clone(), message, help });
    }

    fn under<T>(&mut self, step: Step, check: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let checked = check(self);
        self.path.pop();
        checked
    }

    /// The fields of a record: declared ones checked and filled, others refused unless `tolerated`.
    fn fields(
        &mut self,
        declared: &[&Parameter],
        given: &Map<String, Value>,
        tolerated: &dyn Fn(&str) -> bool,
    ) -> Map<String, Value> {
        let names = || declared.iter().map(|parameter| parameter.name);
        for name in given.keys().filter(|name| !names().any(|known| known == *name) && !tolerated(name)) {
            let help = if self.problems.len() < HELPED { suggestion(name, names()) } else { None };
            self.under(Step::Key(name.clone()), |check| check.problem("unknown parameter".to_owned(), help));
        }
        let mut values = Map::new();
        for parameter in declared {
            let value = given.get(parameter.name).filter(|value| !value.is_null());
            let step = Step::Key(parameter.name.to_owned());
            let value = self.under(step, |check| check.parameter(parameter, value));
            values.extend(value.map(|value| (parameter.name.to_owned(), value)));
        }
        values
    }

    fn parameter(&mut self, parameter: &Parameter, given: Option<&Value>) -> Option<Value> {
        if given.is_none() && parameter.required {
            self.problem("required, but not given".to_owned(), Some(parameter.kind.to_string()));
            return None;
        }
        given.or(parameter.default.as_ref()).map(|value| self.value(&parameter.kind, value))
    }

    /// The value in canonical form; null, with a problem reported, if the kind refuses it.
    fn value(&mut self, kind: &Kind, value: &Value) -> Value {
        let scalar = unquoted(kind, value);
        let found = match (kind, scalar.as_ref().unwrap_or(value)) {
            (Kind::Any, value) => Some(value.clone()),
            (Kind::Bool, Value::Bool(value)) => Some((*value).into()),
            (Kind::Bool, Value::Number(number)) => match number.as_u64() {
                Some(number @ (0 | 1)) => Some((number == 1).into()),
                _ => None,
            },
            (Kind::Int(range), Value::Number(number)) => {
                number.as_i64().filter(|number| range.contains(number)).map(Value::from)
            }
            (Kind::Float(range), Value::Number(number)) => {
                number.as_f64().filter(|number| range.contains(number)).map(Value::from)
            }
            (Kind::Text, Value::String(_)) => Some(value.clone()),
            (Kind::Text, Value::Number(number)) if is_integer(number) => Some(number.to_string().into()),
            (Kind::Choice(names), Value::String(text)) => return self.choice(names, text),
            (Kind::List(of), Value::Array(values)) => return self.list(of, values),
            (Kind::List(_), Value::Object(_)) => None,
            (Kind::List(of), single) => return Value::Array(vec![self.value(of, single)]),
            (Kind::Map(of), Value::Object(values)) => return self.map(of, values),
            (Kind::Record(fields), Value::Object(values)) => {
                return self.fields(&fields.iter().collect::<Vec<_>>(), values, &|_| false).into();
            }
            (Kind::Union(kinds), value) => return self.union(kinds, value),
            _ => None,
        };
        found.unwrap_or_else(|| {
            self.problem(format!("expected {kind}, got {}", shown(value)), None);
            Value::Null
        })
    }

    fn choice(&mut self, names: &'static [&'static str], text: &str) -> Value {
        if let Some(name) = names.iter().find(|name| name.eq_ignore_ascii_case(text)) {
            return (*name).into();
        }
        let help = nearest(text, names.iter().copied()).map(|near| format!("did you mean {}?", quoted(near)));
        self.problem(format!("expected {}, got {}", Kind::Choice(names), quoted(text)), help);
        Value::Null
    }

    fn list(&mut self, of: &Kind, values: &[Value]) -> Value {
        let checked = values.iter().enumerate();
        checked.map(|(index, value)| self.under(Step::Index(index), |check| check.value(of, value))).collect()
    }

    fn map(&mut self, of: &Kind, values: &Map<String, Value>) -> Value {
        let mut checked = Map::new();
        for (name, value) in values {
            let value = self.under(Step::Key(name.clone()), |check| check.value(of, value));
            checked.insert(name.clone(), value);
        }
        checked.into()
    }

    /// The first kind that takes the value as it is written, else the first that takes it at all. If only one has the
    /// written form, its reasons for refusing are the helpful ones.
    fn union(&mut self, kinds: &[Kind], value: &Value) -> Value {
        let (alike, unlike): (Vec<&Kind>, Vec<_>) = kinds.iter().partition(|kind| has_form(kind, value));
        if let (true, Some(scalar)) = (alike.is_empty(), out_of_quotes(value)) {
            return self.union(kinds, &scalar);
        }
        let mut refusals = Vec::new();
        for kind in alike.iter().chain(&unlike) {
            let mut check = Check { path: self.path.clone(), problems: Vec::new() };
            let found = check.value(kind, value);
            if check.problems.is_empty() {
                return found;
            }
            refusals.push(check.problems);
        }
        match (alike.as_slice(), refusals.into_iter().next()) {
            ([_], Some(refusal)) => self.problems.extend(refusal),
            _ => {
                let kinds = Kind::Union(kinds.to_vec());
                self.problem(format!("expected {kinds}, got {}", shown(value)), None);
            }
        }
        Value::Null
    }
}

/// A number or truth value in quotes, where one is wanted: FATE's reader takes it so.
fn unquoted(kind: &Kind, value: &Value) -> Option<Value> {
    matches!(kind, Kind::Bool | Kind::Int(_) | Kind::Float(_)).then(|| out_of_quotes(value)).flatten()
}

fn out_of_quotes(value: &Value) -> Option<Value> {
    use tributary_document::{Value as Scalar, unquoted};
    match unquoted(value.as_str()?)? {
        Scalar::Bool(value) => Some(value.into()),
        Scalar::Int(value) => Number::from_i128(value).map(Value::Number),
        Scalar::Float(value) => Number::from_f64(value).map(Value::Number),
        _ => None,
    }
}

fn is_integer(number: &Number) -> bool {
    number.is_i64() || number.is_u64()
}

fn has_form(kind: &Kind, value: &Value) -> bool {
    match (kind, value) {
        (Kind::Bool, Value::Bool(_)) | (Kind::Text | Kind::Choice(_), Value::String(_)) => true,
        (Kind::Int(_), Value::Number(number)) => is_integer(number),
        (Kind::Float(_), Value::Number(number)) => !is_integer(number),
        (Kind::List(_), Value::Array(_)) | (Kind::Map(_) | Kind::Record(_), Value::Object(_)) => true,
        (Kind::Union(kinds), value) => kinds.iter().any(|kind| has_form(kind, value)),
        (Kind::Any, _) => true,
        _ => false,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
        scalar => scalar.to_string(),
    }
}
