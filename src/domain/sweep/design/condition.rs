//! The `where` expression: arithmetic and comparison over parameters, and nothing else.
//!
//! The language is rhai's, cut down to one expression without loops, functions of its own or side effects, and bounded in
//! depth, operations and text. Numbers behave as people expect: `7 / 2` is 3.5, whole and broken numbers mix, and two
//! floats closer than one part in 10^12 are equal, so that `A + B + C == 1` holds for tenths.

use rhai::{AST, Dynamic, Engine, EvalAltResult, OptimizationLevel, ParseErrorType, Position, Scope};

use super::arithmetic::{FUNCTIONS, NO_VALUE, teach};
use crate::domain::diagnostic::Diagnostic;
use crate::domain::parameters::{Parameter, Value};
use crate::domain::sweep::spec;
use crate::domain::yaml::{Place, Source, Style, closest, did_you_mean, shown};

/// Longest expression, in bytes.
const MAX_LENGTH: usize = 2000;

/// Deepest nesting of an expression.
const MAX_DEPTH: usize = 64;

/// Most operations of one evaluation.
const MAX_OPERATIONS: u64 = 2000;

/// What an expression says of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    /// It holds.
    Yes,
    /// It does not.
    No,
    /// It has no value there: it divides by zero, or takes the root of a negative number.
    NoValue,
}

/// An expression over a model's parameters, ready to be evaluated.
pub(crate) struct Condition {
    engine: Engine,
    expression: AST,
    used: Vec<(usize, String)>,
    written: spec::Condition,
    source: Source,
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Condition").field("text", &self.written.scalar.text).finish_non_exhaustive()
    }
}

impl Condition {
    /// Compiles `written`, an expression over `parameters`.
    pub(crate) fn new(
        written: &spec::Condition,
        source: &Source,
        parameters: &[Parameter],
    ) -> Result<Self, Diagnostic> {
        let text = written.scalar.text.as_str();
        if text.len() > MAX_LENGTH {
            return Err(source.fault(
                written.place,
                format!("the expression is longer than {MAX_LENGTH} characters"),
                None,
            ));
        }
        if text.contains('`') {
            let hint = Some("write texts in double quotes".to_owned());
            return Err(source.fault(written.place, "backticks cannot be used in an expression", hint));
        }
        if let Some(single) = in_single_quotes(text) {
            let hint = Some(format!("write texts in double quotes: `\"{}\"`", shown(single)));
            return Err(source.fault(written.place, "single quotes cannot be used in an expression", hint));
        }
        let mentioned: Vec<&str> = words(text).collect();
        let used: Vec<(usize, String)> = parameters
            .iter()
            .enumerate()
            .filter(|(_, parameter)| mentioned.contains(&parameter.name.as_str()))
            .map(|(index, parameter)| (index, parameter.name.clone()))
            .collect();
        let engine = engine();
        let mut scope = Scope::new();
        for (index, name) in &used {
            if parameters[*index].kind != crate::domain::parameters::ParameterType::List {
                scope.push(name.as_str(), ());
            }
        }
        match engine.compile_expression_with_scope(&scope, text) {
            Ok(expression) => Ok(Self { engine, expression, used, written: written.clone(), source: source.clone() }),
            Err(error) => {
                let (message, hint, length) = explain(error.err_type(), text, parameters);
                let place = place_of(written, error.position(), length);
                Err(source.fault(place, message, hint))
            }
        }
    }

    /// How long the expression is: its numbers and names.
    pub(crate) fn words(&self) -> u64 {
        words(&self.written.scalar.text).count() as u64
    }

    /// Whether the point with these values stays.
    pub(crate) fn holds(&self, values: &[Value]) -> Result<Truth, Diagnostic> {
        let mut scope = Scope::new();
        for (index, name) in &self.used {
            scope.push_dynamic(name.as_str(), dynamic(&values[*index]));
        }
        match self.engine.eval_ast_with_scope::<Dynamic>(&mut scope, &self.expression) {
            Ok(result) => match result.as_bool() {
                Ok(true) => Ok(Truth::Yes),
                Ok(false) => Ok(Truth::No),
                Err(found) => {
                    let message = format!("`where` must be true or false; this is {}", plain_type(found));
                    let hint = Some("compare it with something: `A + B <= 1`".to_owned());
                    Err(self.source.fault(self.written.place, message, hint))
                }
            },
            Err(error) if has_no_value(&error) => Ok(Truth::NoValue),
            Err(error) => Err(self.failure(&error, values)),
        }
    }

    fn failure(&self, error: &EvalAltResult, values: &[Value]) -> Diagnostic {
        let place = |length| place_of(&self.written, error.position(), length);
        if let EvalAltResult::ErrorFunctionNotFound(signature, _) = error {
            let (name, arguments) = signature.split_once(" (").unwrap_or((signature, ")"));
            let arguments = arguments.trim_end_matches(')');
            if FUNCTIONS.contains(&name) || !name.starts_with(|first: char| first.is_alphabetic()) {
                let types: Vec<&str> = arguments.split(", ").map(plain_type).collect();
                let message = format!("`{}` does not work on {}", shown(name), types.join(" and "));
                return self.source.fault(place(name.chars().count()), message, None);
            }
            let hint = did_you_mean(name, FUNCTIONS);
            return self.source.fault(
                place(name.chars().count()),
                format!("there is no function `{}`", shown(name)),
                hint,
            );
        }
        if let EvalAltResult::ErrorRuntime(reason, _) = error {
            return self.source.fault(place(1), reason.to_string(), None);
        }
        let at: Vec<String> =
            self.used.iter().take(6).map(|(index, name)| format!("{name} = {}", values[*index])).collect();
        let message = format!("`where` cannot be evaluated at {}: {}", at.join(", "), sentence(&error.to_string()));
        self.source.fault(place(1), message, None)
    }
}

fn has_no_value(error: &EvalAltResult) -> bool {
    matches!(error, EvalAltResult::ErrorRuntime(reason, _) if reason.is_string() && reason.to_string() == NO_VALUE)
}

/// What stands in single quotes, where those are no part of a text in double quotes.
fn in_single_quotes(text: &str) -> Option<&str> {
    let outside = text.split('"').step_by(2).find_map(|part| part.split_once('\''))?;
    outside.1.split('\'').next()
}

/// The words of an expression, outside of quotes as well as inside.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

fn dynamic(value: &Value) -> Dynamic {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::Text(value) => value.into(),
        Value::List(_) => Dynamic::UNIT,
    }
}

fn plain_type(name: &str) -> &str {
    match name.trim() {
        "i64" | "f64" => "a number",
        "bool" => "true or false",
        "string" | "&str" | "&str | ImmutableString | String" => "a text",
        "()" => "nothing",
        other => other,
    }
}

/// rhai's message as a part of ours: lower case, without the position that we show better.
fn sentence(message: &str) -> String {
    let message = message.rsplit_once(" (line").map_or(message, |(before, _)| before);
    let mut letters = message.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect()).replace('\'', "`")
}

fn explain(error: &ParseErrorType, text: &str, parameters: &[Parameter]) -> (String, Option<String>, usize) {
    let names = parameters.iter().map(|parameter| parameter.name.as_str());
    let word = |word: &str| match word {
        "and" => Some("write `&&`".to_owned()),
        "or" => Some("write `||`".to_owned()),
        "not" => Some("write `!`".to_owned()),
        _ => None,
    };
    match error {
        ParseErrorType::VariableUndefined(name) => {
            let length = name.chars().count();
            if names.clone().any(|known| known == name) {
                return (format!("`{name}` is a list and cannot be compared"), None, length);
            }
            let hint = word(name).or_else(|| match closest(name, FUNCTIONS) {
                Some(function) if closest(name, names.clone()).is_none() => {
                    Some(format!("`{function}` is a function: `{function}(...)`"))
                }
                Some(_) | None => did_you_mean(name, names),
            });
            (format!("there is no parameter `{}`", shown(name)), hint, length)
        }
        ParseErrorType::Reserved(name) => {
            (format!("`{}` cannot be used here", shown(name)), word(name), name.chars().count())
        }
        other => {
            let spoken = ["and", "or", "not"].into_iter().find(|spoken| words(text).any(|written| written == *spoken));
            let single = text.replace("==", "").replace("<=", "").replace(">=", "").replace("!=", "").contains('=');
            let hint = match (spoken, single) {
                (Some(spoken), _) => word(spoken),
                (None, true) => Some("write `==` to compare".to_owned()),
                (None, false) => None,
            };
            (format!("`where` cannot be read: {}", sentence(&other.to_string())), hint, 1)
        }
    }
}

/// Where a position within the expression lies in the file.
fn place_of(written: &spec::Condition, position: Position, length: usize) -> Place {
    let (Some(line), Some(column)) = (position.line(), position.position()) else { return written.place };
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let (start, width) = (written.place, written.scalar.text.chars().count());
    let quotes = match written.scalar.style {
        Style::Plain => 0,
        Style::Quoted => 1,
        // The place of a block is where its content begins.
        Style::Literal => {
            let (down, right) = (number(line - 1), number(column - 1));
            return Place { line: start.line + down, column: start.column + right, length: number(length) };
        }
        Style::Folded => return start,
    };
    if line == 1 && start.length as usize == width + 2 * quotes {
        Place { column: start.column + number(quotes + column - 1), length: number(length), ..start }
    } else {
        start
    }
}

fn engine() -> Engine {
    let mut engine = Engine::new_raw();
    engine
        .set_optimization_level(OptimizationLevel::None)
        .set_fast_operators(false)
        .set_strict_variables(true)
        .set_allow_looping(false)
        .set_allow_loop_expressions(false)
        .set_allow_if_expression(false)
        .set_allow_switch_expression(false)
        .set_allow_statement_expression(false)
        .set_max_expr_depths(MAX_DEPTH)
        .set_max_operations(MAX_OPERATIONS)
        .set_max_string_size(MAX_LENGTH);
    for symbol in [
        "eval",
        "print",
        "debug",
        "type_of",
        "is_def_var",
        "is_shared",
        "this",
        "Fn",
        "call",
        "curry",
        "=",
        "<<",
        ">>",
        "&",
        "|",
        "^",
    ] {
        engine.disable_symbol(symbol);
    }
    teach(&mut engine);
    engine
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parameters::ParameterType;
    use crate::domain::yaml::tests::picture;
    use crate::domain::yaml::{Kind, Read, Reader};

    fn parameter(name: &str, kind: ParameterType) -> Parameter {
        let (unit, description) = (String::new(), String::new());
        Parameter { name: name.into(), kind, default: None, min: None, max: None, choices: vec![], unit, description }
    }

    /// The value of an expression over A = 0.1, B = 0.2, N = 7, FLAG = true, NAME = "none", YEARS = [1, 2].
    fn evaluated(yaml: &str) -> Result<bool, String> {
        let (mut reader, root) = Reader::open("sweeps/s.yaml", yaml).unwrap();
        let Kind::Mapping(entries) = &root.kind else { panic!("not a mapping") };
        let written = spec::Condition::read(&entries[0].1, &mut reader).unwrap();
        let parameters = [
            parameter("A", ParameterType::Float),
            parameter("B", ParameterType::Float),
            parameter("N", ParameterType::Int),
            parameter("FLAG", ParameterType::Bool),
            parameter("NAME", ParameterType::String),
            parameter("YEARS", ParameterType::List),
        ];
        let values = [
            Value::Float(0.1),
            Value::Float(0.2),
            Value::Int(7),
            Value::Bool(true),
            Value::Text("none".into()),
            Value::List(vec![Value::Int(1), Value::Int(2)]),
        ];
        let condition = Condition::new(&written, reader.source(), &parameters);
        let truth = condition.and_then(|condition| condition.holds(&values));
        truth.map(|truth| truth == Truth::Yes).map_err(|fault| picture(&fault.into()))
    }

    fn of(expression: &str) -> bool {
        evaluated(&format!("where: '{expression}'")).unwrap()
    }

    fn fault(yaml: &str) -> String {
        evaluated(yaml).unwrap_err()
    }

    #[test]
    fn numbers_behave_as_people_expect() {
        assert!(of("N / 2 == 3.5"));
        assert!(of("1 / 2 > 0"));
        assert!(of("A + B == 0.3"));
        assert!(of("A + B <= 0.3 && !(A + B > 0.3)"));
        assert!(of("A * 1e-30 > 0"));
        assert!(of("N > A && A < N && N == 7.0 && 7.0 == N"));
        assert!(of("-N < 0 && -A < 0 && +N == 7"));
        assert!(of("N % 4 == 3 && N ** 2 == 49 && pow(2, 0.5) == sqrt(2)"));
        assert!(of("min(A, N) == A && max(2, N) == 7 && abs(-3) == 3 && abs(A - B) == 0.1"));
        assert!(of("floor(2.7) == 2 && ceil(2.1) == 3 && round(2.5) == 3 && ln(exp(1)) == 1 && log10(1000) == 3"));
        assert!(of("9223372036854775807 + N > 0"));
        assert!(of("FLAG || false") && of("!FLAG == false") && of("FLAG == true"));
        assert!(of("NAME == \"none\"") && of("NAME != \"join\""));
    }

    #[test]
    fn where_an_expression_has_no_value_no_point_stays() {
        for text in ["1 / 0 < 3", "1 / 0 > 3", "N % 0 == 0", "sqrt(-1) < 3 || true", "ln(0) < 3", "exp(1000) > 3"] {
            assert!(!of(text), "{text}");
        }
        assert!(of("N == 7 || 1 / 0 > 3"), "what is not needed is not calculated");
    }

    #[test]
    fn what_is_wrong_with_an_expression_is_told_at_its_place() {
        insta::assert_snapshot!(fault("where: A + STANDRAD > 1"), @r"
        sweeps/s.yaml:1:12: there is no parameter `STANDRAD` (hint: known here: `A`, `B`, `N`, `FLAG`, `NAME`, `YEARS`)
        | where: A + STANDRAD > 1
        |            ^^^^^^^^
        ");
        insta::assert_snapshot!(fault("where: \"A + AA > 1\""), @r#"
        sweeps/s.yaml:1:13: there is no parameter `AA` (hint: known here: `A`, `B`, `N`, `FLAG`, `NAME`, `YEARS`)
        | where: "A + AA > 1"
        |             ^^
        "#);
        insta::assert_snapshot!(fault("where: |\n  A < 1 &&\n    C > 1"), @r"
        sweeps/s.yaml:3:5: there is no parameter `C` (hint: known here: `A`, `B`, `N`, `FLAG`, `NAME`, `YEARS`)
        |     C > 1
        |     ^
        ");
        insta::assert_snapshot!(fault("where: >\n  A < 1 &&\n  C > 1"), @r"
        sweeps/s.yaml:2:3: there is no parameter `C` (hint: known here: `A`, `B`, `N`, `FLAG`, `NAME`, `YEARS`)
        |   A < 1 &&
        |   ^
        ");
        insta::assert_snapshot!(fault("where: A + B"), @r"
        sweeps/s.yaml:1:8: `where` must be true or false; this is a number (hint: compare it with something: `A + B <= 1`)
        | where: A + B
        |        ^^^^^
        ");
        insta::assert_snapshot!(fault("where: A = 1"), @r"
        sweeps/s.yaml:1:10: `where` cannot be read: unknown operator: `=` (hint: write `==` to compare)
        | where: A = 1
        |          ^
        ");
        insta::assert_snapshot!(fault("where: A < 1 and B < 1"), @r"
        sweeps/s.yaml:1:14: `where` cannot be read: unexpected `and` (hint: write `&&`)
        | where: A < 1 and B < 1
        |              ^
        ");
        insta::assert_snapshot!(fault("where: A < (1 + B"), @r"
        sweeps/s.yaml:1:18: `where` cannot be read: expecting `)` for a matching ( in this expression
        | where: A < (1 + B
        |                  ^
        ");
        insta::assert_snapshot!(fault("where: sqr(A) < 1"), @r"
        sweeps/s.yaml:1:8: there is no function `sqr` (hint: did you mean `sqrt`?)
        | where: sqr(A) < 1
        |        ^^^
        ");
        insta::assert_snapshot!(fault("where: sqrt(NAME) < 1"), @r"
        sweeps/s.yaml:1:8: `sqrt` does not work on a text
        | where: sqrt(NAME) < 1
        |        ^^^^
        ");
        insta::assert_snapshot!(fault("where: NAME > 1"), @r"
        sweeps/s.yaml:1:13: a text and a number cannot be compared
        | where: NAME > 1
        |             ^
        ");
        insta::assert_snapshot!(fault("where: \"NAME == 'none'\""), @r#"
        sweeps/s.yaml:1:8: single quotes cannot be used in an expression (hint: write texts in double quotes: `"none"`)
        | where: "NAME == 'none'"
        |        ^^^^^^^^^^^^^^^^
        "#);
        insta::assert_snapshot!(fault("where: YEARS > 1"), @r"
        sweeps/s.yaml:1:8: `YEARS` is a list and cannot be compared
        | where: YEARS > 1
        |        ^^^^^
        ");
    }

    #[test]
    fn an_expression_can_do_nothing_but_calculate() {
        for text in [
            "eval(\"1\") == 1",
            "{ let x = 1; x == 1 }",
            "if FLAG { true } else { false }",
            "while true {}",
            "loop {}",
            "print(\"x\") == ()",
            "FLAG; FLAG",
            "import \"x\" as x",
            "fn f() { true }",
            "(|x| x)(true)",
            "A += 1",
            "NAME.len() > 1",
            "this == 1",
            "`${A}` == \"0.1\"",
        ] {
            let yaml = format!("where: {}", serde_json::Value::from(text));
            assert!(evaluated(&yaml).is_err(), "{text}: {:?}", evaluated(&yaml));
        }
        let deep = format!("where: \"{}A{} > 0\"", "(".repeat(200), ")".repeat(200));
        assert!(evaluated(&deep).is_err());
        let long = format!("where: \"{} > 0\"", vec!["A"; 1500].join("+"));
        assert!(fault(&long).contains("longer than"));
        assert!(evaluated("where: '\"x\" * 1000000 == \"\"'").is_err());
    }
}
