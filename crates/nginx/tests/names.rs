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
        // That of a location names any number; how many of them are good is told by the value's own parser.
        let names_several = directive.name == "l402_backend";
        let takes_many = DIRECTIVES.contains("NGX_HTTP_LOC_CONF | NGX_CONF_1MORE");
        let arity = match (takes_two, names_several && takes_many) {
            (true, _) => (1, 2),
            (_, true) => (1, settings::value::MAX_BACKENDS),
            _ => (1, 1),
        };
        assert_eq!(directive.arity, arity, "{}", directive.name);
        let everywhere = DIRECTIVES.contains(&format!("{entry}, EVERYWHERE"));
        let main_only = DIRECTIVES.contains(&format!("main({entry}"));
        let server_only = DIRECTIVES.contains(&format!("{entry}, NGX_HTTP_SRV_CONF | NGX_CONF_TAKE1"));
        assert!(everywhere || main_only || server_only, "{}: contexts", directive.name);
        if server_only {
            assert_eq!(directive.contexts, [settings::Context::Server], "{}", directive.name);
        }
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
