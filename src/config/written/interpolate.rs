use super::{Node, Text, Value};
use crate::config::{
    Env,
    problem::{Place, Problem},
};

/// Replaces `${NAME}`, `${NAME:-default}`, `${NAME:?message}` and `$$` in every text of the tree.
///
/// It works on values that have been read, never on the text of the document, so that whatever a
/// variable holds stays one value.
pub(super) fn replace(node: &mut Node, env: &Env, problems: &mut Vec<Problem>) {
    match &mut node.value {
        Value::Text(text) => match expand(&text.text, env) {
            Ok(expanded) => *text = expanded,
            Err(problem) => problems.push(problem.at(&node.place)),
        },
        Value::List(items) => {
            for item in items {
                replace(item, env, problems);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                replace(&mut entry.value, env, problems);
            }
        }
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {}
    }
}

/// What is wrong with a variable, and what would be right.
#[derive(Debug)]
struct Unusable {
    message: String,
    help: String,
}

impl Unusable {
    fn at(self, place: &Place) -> Problem {
        Problem::at(place, self.message).help(self.help)
    }
}

fn expand(written: &str, env: &Env) -> Result<Text, Unusable> {
    let mut text = String::with_capacity(written.len());
    let mut rest = written;
    let mut variables = Vec::new();
    while let Some(at) = rest.find('$') {
        text.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('$') {
            text.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let (inside, after) = after.split_once('}').ok_or_else(|| Unusable {
                message: "`${` without a `}`".to_owned(),
                help: "close the variable, or write `$${` for the characters themselves".to_owned(),
            })?;
            let start = text.len();
            text.push_str(&value_of(inside, env)?);
            variables.push(start..text.len());
            rest = after;
        } else {
            text.push('$');
            rest = after;
        }
    }
    text.push_str(rest);
    Ok(Text { text, variables })
}

/// The value of what stands between the braces.
fn value_of(inside: &str, env: &Env) -> Result<String, Unusable> {
    let (name, otherwise) = match inside.split_once(':') {
        Some((name, otherwise)) => (name, Some(otherwise)),
        None => (inside, None),
    };
    let mut characters = name.chars();
    let named = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !named {
        return Err(Unusable {
            message: "no variable can have this name".to_owned(),
            help: "write `${NAME}` with letters, digits and `_`, or `$${` for the characters \
                   themselves"
                .to_owned(),
        });
    }
    // As in a shell, a variable that is set to nothing counts as unset where there is a colon.
    match (env.get(name), otherwise) {
        (Some(value), None) => Ok(value.to_owned()),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value.to_owned()),
        (_, Some(otherwise)) => match (otherwise.strip_prefix('-'), otherwise.strip_prefix('?')) {
            (Some(default), _) => Ok(default.to_owned()),
            (_, Some(message)) => Err(Unusable {
                message: format!("the variable {name} is not set: {message}"),
                help: format!("set {name} in the environment of profile-http"),
            }),
            _ => Err(Unusable {
                message: format!("cannot read what follows `{name}:`"),
                help: format!("write `${{{name}:-default}}` or `${{{name}:?message}}`"),
            }),
        },
        (None, None) => Err(Unusable {
            message: format!("the variable {name} is not set"),
            help: format!("set it, or give a default: `${{{name}:-default}}`"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(written: &str, env: &[(&str, &str)]) -> String {
        expand(written, &env.iter().copied().collect()).unwrap().text
    }

    #[test]
    fn a_variable_is_replaced_wherever_it_stands() {
        assert_eq!(expanded("a${X}b${Y}", &[("X", "1"), ("Y", "2")]), "a1b2");
    }

    #[test]
    fn a_value_is_never_read_again() {
        assert_eq!(expanded("${X}", &[("X", "${Y} $$ : \" \n - }")]), "${Y} $$ : \" \n - }");
    }

    #[test]
    fn a_default_stands_in_for_an_unset_or_empty_variable() {
        assert_eq!(expanded("${X:-a b}", &[]), "a b");
        assert_eq!(expanded("${X:-a}", &[("X", "")]), "a");
        assert_eq!(expanded("${X:-a}", &[("X", "x")]), "x");
        assert_eq!(expanded("${X:-}", &[]), "");
    }

    #[test]
    fn a_doubled_dollar_is_a_dollar_and_a_lone_one_stays() {
        assert_eq!(expanded("$${X} $5 a$", &[]), "${X} $5 a$");
    }

    #[test]
    fn an_unset_variable_is_named_together_with_the_remedy() {
        let error = expand("${ACME_SECRET}", &Env::default()).err().unwrap();
        assert_eq!(error.message, "the variable ACME_SECRET is not set");
        assert!(error.help.contains("${ACME_SECRET:-default}"));
        let error = expand("${X:?ask the team}", &Env::default()).err().unwrap();
        assert_eq!(error.message, "the variable X is not set: ask the team");
    }

    #[test]
    fn what_is_no_variable_is_an_error() {
        for written in ["${X", "${}", "${1X}", "${a b}", "${X:=1}"] {
            assert!(expand(written, &Env::default()).is_err(), "{written}");
        }
    }

    #[test]
    fn only_a_lone_variable_may_stand_for_a_number() {
        let env = [("X", "5")].into_iter().collect();
        assert!(expand("${X}", &env).unwrap().is_variable());
        assert!(!expand("${X}${X}", &env).unwrap().is_variable());
        assert!(!expand("${X} ", &env).unwrap().is_variable());
        assert!(!expand("$$${X}", &env).unwrap().is_variable());
    }
}
