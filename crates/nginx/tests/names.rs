//! Every directive and variable that the reference promises is in the module's tables.

const DIRECTIVES: &str = include_str!("../src/directives.rs");
const VARIABLES: &str = include_str!("../src/variables.rs");

#[test]
fn directives_are_those_of_the_reference() {
    let mut promised = 0;
    for setting in settings::SETTINGS.iter() {
        let Some(directive) = &setting.directive else { continue };
        promised += 1;
        let entry = format!("c\"{}\"", directive.name);
        assert!(DIRECTIVES.contains(&entry), "{} has no entry in the table", directive.name);
        let takes_two = DIRECTIVES.contains(&format!("{entry}, EVERYWHERE | NGX_CONF_TAKE12"));
        assert_eq!(directive.arity, if takes_two { (1, 2) } else { (1, 1) }, "{}", directive.name);
        let everywhere = DIRECTIVES.contains(&format!("{entry}, EVERYWHERE"));
        let main_only = DIRECTIVES.contains(&format!("main({entry}"));
        assert!(everywhere || main_only, "{}: contexts", directive.name);
        if everywhere {
            assert_eq!(directive.contexts.len(), 3, "{}", directive.name);
        }
    }
    // l402_backend has two entries, for its two forms.
    assert_eq!(DIRECTIVES.matches("Setter(").count() - 2, promised + 1);
}

#[test]
fn variables_are_those_of_the_reference() {
    for variable in settings::VARIABLES {
        assert!(VARIABLES.contains(&format!("(\"{}\",", variable.name)), "{}", variable.name);
    }
    assert_eq!(VARIABLES.matches("(\"l402_").count(), settings::VARIABLES.len());
}
