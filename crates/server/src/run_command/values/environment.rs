//! Variables: `NAME=VALUE` on the command line, a table in a file.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// A variable of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::run_command) struct Variable {
    pub(in crate::run_command) name: String,
    pub(in crate::run_command) value: String,
}

impl Variable {
    /// Or what is wrong with it.
    pub(in crate::run_command) fn new(name: &str, value: &str) -> Result<Variable, String> {
        match () {
            () if name.is_empty() || name.contains(['=', '\0']) => Err(format!("{name:?} is no name of a variable")),
            () if value.contains('\0') => Err(format!("the value of {name} contains a NUL byte")),
            () => Ok(Variable { name: name.to_owned(), value: value.to_owned() }),
        }
    }
}

impl FromStr for Variable {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) => Variable::new(name, value),
            None => Err(format!("{text:?} is no variable; write NAME=VALUE")),
        }
    }
}

/// For a table of variables; numbers and booleans are written as they are.
pub(in crate::run_command) fn environment<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Variable>, D::Error> {
    let table = BTreeMap::<String, Value>::deserialize(from)?;
    table.iter().map(|(name, Value(value))| Variable::new(name, value).map_err(de::Error::custom)).collect()
}

/// The value of a variable.
struct Value(String);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the value of a variable: a text, a number, true or false")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
                Ok(Value(text.to_owned()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
                Ok(Value(number.to_string()))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
                Ok(Value(number.to_string()))
            }
            fn visit_bool<E: de::Error>(self, switch: bool) -> Result<Value, E> {
                Ok(Value(switch.to_string()))
            }
        }
        from.deserialize_any(Written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        #[serde(deserialize_with = "environment")]
        env: Vec<Variable>,
    }

    #[test]
    fn a_variable_may_be_empty_but_has_a_name() {
        assert_eq!("A=b=c".parse(), Variable::new("A", "b=c"));
        assert_eq!("A=".parse(), Variable::new("A", ""));
        for text in ["A", "=b", ""] {
            assert!(text.parse::<Variable>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_table_has_texts_and_numbers() {
        let file: File = toml::from_str("env = { PORT = 3000, NODE_ENV = \"production\", ON = true }").unwrap();
        let pairs: Vec<(&str, &str)> = file.env.iter().map(|pair| (&*pair.name, &*pair.value)).collect();
        assert_eq!(pairs, [("NODE_ENV", "production"), ("ON", "true"), ("PORT", "3000")]);
        assert!(toml::from_str::<File>("env = { A = [] }").unwrap_err().message().contains("value of a variable"));
    }
}
