//! The files of `deploy/`.

use std::collections::BTreeSet;
use std::process::Command;

use s3bl_testkit::Tool;
use serde_json::Value;

use crate::commands::{beneath, own_words, read, refusal, root, with_environment};

/// What a script of Python makes of files of these kinds, as JSON. The scripts use the parsers that everybody else uses.
fn parsed(script: &str, files: &[std::path::PathBuf]) -> Value {
    assert!(!files.is_empty());
    let mut python = Tool::Python.command("http://127.0.0.1:9").unwrap();
    let output = python.args(["-c", script]).args(files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Documents of YAML files, as a list of pairs of file and document.
const YAML: &str = "
import json, sys, yaml
print(json.dumps([[name, it] for name in sys.argv[1:] for it in yaml.safe_load_all(open(name))]))
";

/// The blocks of Terraform files, with strings as they are written.
const HCL: &str = r#"
import hcl2, json, sys
blocks = {}
for name in sys.argv[1:]:
    for kind, entries in hcl2.load(open(name)).items():
        if isinstance(entries, list):
            blocks.setdefault(kind, []).extend(entries)
print(json.dumps(blocks))
"#;

/// The words of a list of texts.
fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn assert_taken(what: &str, words: &[String], variables: &[(String, String)]) {
    let words = with_environment(words, variables).unwrap_or_else(|why| panic!("{what}: {why}"));
    if let Some(why) = refusal(&words) {
        panic!("{what}: {words:?}: {why}");
    }
}

/// The variables of the block of INI in a page that has this line.
fn environment_file(page: &str, line: &str) -> Vec<(String, String)> {
    let block = page.split("```ini\n").find(|block| block.lines().any(|it| it == line)).unwrap();
    let lines = block.lines().take_while(|line| *line != "```");
    let pair =
        |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    lines.map(|line| pair(line).unwrap()).collect()
}

/// The values of a key of a unit.
fn values<'unit>(unit: &'unit str, key: &str) -> Vec<&'unit str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn the_units_start_commands_that_the_program_takes_with_the_settings_of_their_page() {
    let page = read("deploy/systemd/README.md");
    for (unit, line) in [
        ("s3-bucket-loader-master.service", "S3BL_CHANNEL=photos"),
        ("s3-bucket-loader-worker@.service", "S3BL_DESTINATION=s3://my-bucket/photos"),
    ] {
        let variables = environment_file(&page, line);
        let command = variables.iter().find(|(name, _)| name == "COMMAND");
        let text = read(&format!("deploy/systemd/{unit}"));
        let fixed = values(&text, "Environment")[0].split(' ').map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        });
        let variables: Vec<_> = variables.clone().into_iter().chain(fixed).collect();
        let start = values(&text, "ExecStart")[0];
        let start = start.replace("$COMMAND", command.map_or("", |(_, value)| value));
        let start = start.replace("%i", "photos").replace("%d", "/run/credentials");
        let words = own_words(&start).unwrap_or_else(|| panic!("{start}"));
        assert_taken(unit, &words, &variables);
    }
    for command in ["resume latest", "retry latest"] {
        assert!(page.contains(&format!("`{command}`")));
        let words = format!("s3-bucket-loader {command} --join-key-file /run/credentials/join.key");
        assert_eq!(refusal(&own_words(&words).unwrap()), None);
    }
}

#[test]
fn systemd_takes_the_units_and_finds_them_confined() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut units = beneath("deploy/systemd", ".service");
    for unit in &mut units {
        // Of a worker, as it is started; and of both, with a program that is there.
        let name = unit.file_name().unwrap().to_string_lossy().replace('@', "@photos");
        let text = std::fs::read_to_string(&unit).unwrap();
        let text =
            text.replace("/usr/local/bin/s3-bucket-loader", env!("CARGO_BIN_EXE_s3-bucket-loader"));
        *unit = folder.path().join(name);
        std::fs::write(&unit, text).unwrap();
    }
    let analyze = |arguments: &[&str]| {
        let mut command = Command::new("systemd-analyze");
        let missing = "systemd-analyze is not installed: run scripts/setup-test-tools";
        let output = command.args(arguments).args(&units).output().expect(missing);
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    let (is_good, said) = analyze(&["verify", "--man=no"]);
    assert!(is_good && said.is_empty(), "{said}");
    // Of 100, where a unit without any of it has 96. The network stays open, and the right to read everything.
    let (is_good, said) = analyze(&["security", "--offline=true", "--threshold=20", "--no-pager"]);
    assert!(is_good, "{said}");
}

#[test]
fn the_pods_run_commands_that_the_program_takes() {
    let mut verbs = BTreeSet::new();
    for pair in parsed(YAML, &beneath("deploy/kubernetes", ".yaml")).as_array().unwrap() {
        let (file, document) = (pair[0].as_str().unwrap(), &pair[1]);
        let pod = &document["spec"]["template"]["spec"];
        let containers = pod["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
        for container in containers {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false, "{file}");
            assert_eq!(security["readOnlyRootFilesystem"], true, "{file}");
            assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]), "{file}");
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{file}");
            if !container["image"].as_str().unwrap().contains("s3-bucket-loader") {
                continue;
            }
            let words = texts(&container["args"]);
            let variables = container["env"].as_array().unwrap().iter().map(|it| {
                let value = it["value"].as_str().unwrap_or("from-the-pod");
                (it["name"].as_str().unwrap().to_owned(), value.to_owned())
            });
            assert_taken(file, &words, &variables.collect::<Vec<_>>());
            verbs.insert(words[0].clone());
        }
    }
    assert_eq!(verbs.into_iter().collect::<Vec<_>>(), ["master", "resume", "worker"]);
}

#[test]
fn the_image_starts_what_the_program_takes_and_not_as_root() {
    let text = read("deploy/container/Containerfile");
    let last = text.rsplit("\nFROM ").next().unwrap();
    let instruction = |name: &str| {
        let line = last.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in the last stage"))
    };
    let list = |name: &str| texts(&serde_json::from_str(instruction(name)).unwrap());
    let entry = list("ENTRYPOINT");
    assert_eq!(entry, ["/usr/local/bin/s3-bucket-loader"]);
    assert!(text.contains(&format!("/image{}", entry[0])), "the first stage installs it");
    assert_eq!(refusal(&list("CMD")), None);
    assert_eq!(instruction("USER"), "65532:65532");
    let home = instruction("VOLUME");
    assert!(last.contains(&format!("S3BL_HOME={home}")), "{home}");
    let variables = [("S3BL_HOME", home), ("S3BL_NO_PROGRESS", "true")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_taken("ENV", &["status".to_owned()], &variables);
}

/// Names between `${` and `}`.
fn placeholders(text: &str) -> BTreeSet<String> {
    let parts = text.split("${").skip(1);
    parts.map(|part| part.split('}').next().unwrap().to_owned()).collect()
}

fn unquoted(text: &str) -> &str {
    text.trim_matches('"')
}

/// The names of a table's first column that stand in backticks, with `${}` around them or not.
fn first_column(page: &str, header: &str) -> BTreeSet<String> {
    let table = page.split(header).nth(1).unwrap().split("\n\n").next().unwrap();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let words = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    words.map(|word| word.trim_start_matches("${").trim_end_matches('}').to_owned()).collect()
}

#[test]
fn terraform_gives_every_policy_its_values_and_the_pages_name_them_all() {
    let blocks = parsed(HCL, &beneath("deploy/aws/terraform", ".tf"));
    let named = |kind: &str| -> BTreeSet<String> {
        let blocks = blocks[kind].as_array().unwrap().iter();
        blocks
            .flat_map(|block| block.as_object().unwrap().keys())
            .map(|it| unquoted(it).to_owned())
            .collect()
    };
    let given = blocks["locals"][0]["placeholders"].as_object().unwrap();
    let given: BTreeSet<String> = given.keys().cloned().collect();
    let mut used = BTreeSet::new();
    let mut names = BTreeSet::new();
    for policy in beneath("deploy/aws/policies", ".json") {
        used.append(&mut placeholders(&std::fs::read_to_string(&policy).unwrap()));
        names.insert(policy.file_stem().unwrap().to_string_lossy().into_owned());
    }
    assert_eq!(used, given);
    let page = read("deploy/aws/policies/README.md");
    assert_eq!(first_column(&page, "| Placeholder | Is |"), given);

    // Every policy is somebody's, and no other is asked for.
    let locals = blocks["locals"][0].as_object().unwrap();
    let lists = locals.iter().filter(|(name, _)| name.ends_with("_policies"));
    let attached: String = lists.map(|(_, value)| value.as_str().unwrap()).collect();
    let quoted: BTreeSet<String> = attached
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect();
    assert_eq!(quoted, names);

    let page = read("deploy/aws/terraform/README.md");
    assert_eq!(first_column(&page, "| Variable | Default | Is |"), named("variable"));
    assert_eq!(first_column(&page, "| Output | Is |"), named("output"));

    // Whatever is referred to is there.
    let all: String = beneath("deploy/aws/terraform", ".tf")
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    let used: BTreeSet<String> = all
        .split(|it: char| !(it.is_alphanumeric() || "._".contains(it)))
        .filter_map(|word| word.strip_prefix("var."))
        .map(str::to_owned)
        .collect();
    assert_eq!(used, named("variable"));
    assert!(!all.contains("ingress"), "nothing comes in");
    assert!(root().join("deploy/aws/policies").is_dir());
}

#[test]
fn terraforms_flags_are_those_of_a_master() {
    let blocks = parsed(HCL, &beneath("deploy/aws/terraform", ".tf"));
    let outputs = blocks["output"].as_array().unwrap().iter();
    let flags = outputs.filter_map(|output| output["\"master_flags\""]["value"].as_str()).next();
    let flags = flags.unwrap().strip_prefix("${").unwrap().strip_suffix('}').unwrap();
    // What is filled in becomes a name; the list's texts are then what stands between quotes.
    let mut filled = String::new();
    let mut parts = flags.split("${");
    filled.push_str(parts.next().unwrap());
    for part in parts {
        filled.push('x');
        filled.push_str(part.split_once('}').unwrap().1);
    }
    let texts = filled.split('"').skip(1).step_by(2).filter(|text| text.starts_with("--"));
    let line = format!("s3-bucket-loader master /a s3://b {}", texts.collect::<Vec<_>>().join(" "));
    let words = own_words(&line).unwrap();
    assert_eq!(refusal(&words), None, "{line}");
    for flag in [
        "--launcher",
        "--ec2-launch-template",
        "--ec2-subnet",
        "--ec2-join-key",
        "--log-upload",
        "--source-host-instance",
    ] {
        assert!(words.contains(&flag.to_owned()), "{flag} is not in {line}");
    }
}
