//! moto with rights: AWS in memory, where a user may do what policies of IAM allow, and nothing else.
//!
//! moto itself looks up keys, signatures and policies, but hardly reads the latter; `moto_rights.py` does, and says where they
//! differ. The kit's own keys are those of the account's owner, who may do everything.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Kind, Program, Server, StartError};
use crate::port::PortLease;
use crate::process::{Launch, Ready};
use crate::tool::{self, Tool, ToolError};

static PROGRAM: Program = Program { name: "moto-rights", launch };

/// The file in the server's folder to which it writes what was asked.
const LOG: &str = "rights.ndjson";

/// Makes a user with one policy, and prints the keys. Arguments: the name, the policy.
const MAKE_USER: &str = r#"
import boto3, json, sys
name, policy = sys.argv[1:]
iam = boto3.client("iam")
iam.create_user(UserName=name)
iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=policy)
key = iam.create_access_key(UserName=name)["AccessKey"]
print(json.dumps([key["AccessKeyId"], key["SecretAccessKey"]]))
"#;

/// moto with rights, on a server of its own.
pub struct Rights {
    log: PathBuf,
}

/// The keys of a user.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The access key.
    pub access: String,
    /// The secret key.
    pub secret: String,
}

/// What a user asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// The user's name.
    pub user: String,
    /// The action, as `sqs:SendMessage`.
    pub action: String,
    /// The resource.
    pub resource: String,
    /// Whether a policy allowed it.
    pub is_allowed: bool,
}

impl Rights {
    /// Starts the server, stopped when the value is dropped.
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    pub fn start() -> Result<(Self, Server), StartError> {
        let process = PROGRAM.start(Ipv4Addr::LOCALHOST)?;
        let log = process.directory().join(LOG);
        let address = process.address();
        Ok((Self { log }, Server { kind: Kind::Moto, address, process: Some(process) }))
    }

    /// Makes a user whom this policy binds.
    ///
    /// # Errors
    ///
    /// The server refused: the error holds its answer.
    pub fn user(&self, server: &Server, name: &str, policy: &str) -> Result<Keys, ToolError> {
        let made = Tool::Python.run(server, ["-c", MAKE_USER, name, policy])?;
        let [access, secret]: [String; 2] =
            serde_json::from_slice(&made.stdout).expect("the script prints two texts");
        Ok(Keys { access, secret })
    }

    /// What users have asked for so far, in order.
    ///
    /// # Errors
    ///
    /// The server's file cannot be read; nobody has asked for anything.
    pub fn asked(&self) -> std::io::Result<Vec<Asked>> {
        let text = fs::read_to_string(&self.log)?;
        // The last line may be in work.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        Ok(whole.lines().map(asked).collect())
    }
}

fn asked(line: &str) -> Asked {
    let line: Value = serde_json::from_str(line).expect("the server writes JSON");
    let text = |name: &str| line[name].as_str().expect("the server writes its name").to_owned();
    let is_allowed = line["is_allowed"].as_bool().expect("the server writes whether it is");
    Asked { user: text("user"), action: text("action"), resource: text("resource"), is_allowed }
}

fn launch(directory: &Path, ip: Ipv4Addr) -> Result<Launch, StartError> {
    let lease = PortLease::take()?;
    let port = lease.number();
    let script = directory.join("moto_rights.py");
    fs::write(&script, include_str!("moto_rights.py"))?;
    let arguments = [script.into(), "-H".into(), ip.to_string().into(), "-p".into()];
    Ok(Launch {
        program: tool::installed("python")?,
        arguments: arguments.into_iter().chain([port.to_string().into()]).collect(),
        environment: vec![
            ("PYTHONUNBUFFERED", "1".into()),
            ("S3BL_RIGHTS_LOG", directory.join(LOG).into()),
        ],
        address: SocketAddrV4::new(ip, port),
        ready: Ready::Answers { port, path: "/moto-api/" },
        leases: vec![lease],
    })
}
