//! Workers that the master launches as EC2 instances, in moto's EC2.

use std::path::Path;
use std::time::Duration;

use s3bl_testkit::{Host, Kind, Network, Server};
use serde_json::Value;

use crate::cloud::{Cloud, KEY, REGION, assert_no_secret_in};
use crate::fleet_stage::{Talk, start};
use crate::stage::{Ended, many_files};

#[test]
fn instances_boot_by_their_user_data_load_a_tree_and_are_terminated() {
    match Network::or_skip(2).unwrap() {
        Some(network) => network.centre().within(|| {
            let server = Server::start_at(Kind::Moto, network.centre().ip()).unwrap();
            assert_boot_load_and_go(&Cloud::at(server, "instances"), network.hosts());
        }),
        // All but the networks.
        None => assert_boot_load_and_go(&Cloud::new("instances"), &[]),
    }
}

/// Two instances boot on these hosts, or without networks of their own.
#[track_caller]
fn assert_boot_load_and_go(cloud: &Cloud, hosts: &[Host]) {
    let (stage, tree) = (&cloud.fleet.stage, many_files(300));
    let master = start(&mut cloud.master(&tree, 2));
    let ids = cloud.await_running(2);
    let instances = cloud.instances();
    let (mut seats, mut subnets) = (Vec::new(), Vec::new());
    for instance in instances.values() {
        let tags = instance["Tags"].as_array().unwrap();
        let tag = |key: &str| {
            let found = tags.iter().find(|tag| tag["Key"] == key);
            found.unwrap_or_else(|| panic!("no {key}: {instance:#}"))["Value"].as_str().unwrap()
        };
        assert_eq!(tag("s3bl-channel"), cloud.fleet.channel);
        assert!(tag("Name").starts_with(&format!("s3bl-{}-", cloud.fleet.channel)));
        assert!(stage.run_folder().ends_with(tag("s3bl-run")));
        seats.push(tag("s3bl-seat").to_owned());
        subnets.push(instance["SubnetId"].as_str().unwrap().to_owned());
        assert_eq!(instance["MetadataOptions"]["HttpTokens"], "required", "{instance:#}");
        assert!(instance["ClientToken"].as_str().unwrap().starts_with("s3bl-"), "{instance:#}");
        assert_eq!(instance["SecurityGroups"][0]["GroupId"], cloud.group.as_str());
    }
    seats.sort();
    subnets.sort();
    assert_eq!(seats, ["1.1", "2.1"]);
    assert_eq!(subnets, cloud.subnets);

    let folders: Vec<_> = ids.iter().map(|id| stage.home.path().join(id)).collect();
    let boot = |(index, id): (usize, &String)| match hosts.get(index) {
        Some(host) => cloud.boot_on(host, id, &folders[index]),
        None => cloud.boot(id, &folders[index]),
    };
    let booted: Vec<_> = ids.iter().enumerate().map(boot).collect();
    master.ended().expect(0);
    for ((metadata, script), folder) in booted.into_iter().zip(&folders) {
        // Of the script, and of the worker.
        for path in ["/latest/meta-data/instance-id", "/latest/meta-data/spot/instance-action"] {
            let answered = metadata.answered();
            assert!(answered.iter().any(|(_, target, _)| target == path), "{answered:?}");
        }
        let said = || std::fs::read_to_string(folder.join("said")).unwrap();
        assert_eq!(script.ended().code, Some(0), "{}", said());
        let off = std::fs::read_to_string(folder.join("off")).unwrap();
        assert!(off.ends_with("systemctl poweroff\n"), "{off}");
        let script = std::fs::read_to_string(folder.join("user-data")).unwrap();
        for secret in [KEY, Server::SECRET_KEY] {
            assert!(!script.contains(secret) && !said().contains(secret));
        }
    }
    stage.assert_arrived(&tree);
    let report = stage.report();
    for share in report["workers"].as_array().unwrap() {
        assert!(ids.contains(&share["id"].as_str().unwrap().to_owned()), "{report:#}");
    }
    assert_no_secret_in(&stage.run_folder());
    cloud.assert_all_gone(2);
    cloud.fleet.assert_nothing_left();
}

#[test]
fn the_properties_of_2014_launch_their_workers_by_their_own_user_data() {
    let (cloud, tree) = (Cloud::new("old-cloud"), many_files(20));
    let (fleet, home) = (&cloud.fleet, cloud.fleet.stage.home.path());
    fleet.aws(&["ec2", "create-key-pair", "--key-name", "old-key"]).unwrap();
    let key = home.join("worker.key");
    std::fs::write(&key, KEY).unwrap();
    let program = fleet.stage.program().get_program().to_owned();
    let script = format!(
        "#!/bin/bash\n\
         at=$AWS_EC2_METADATA_SERVICE_ENDPOINT/latest\n\
         token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $at/api/token)\n\
         id=$(curl -sf -H \"X-aws-ec2-metadata-token: $token\" $at/meta-data/instance-id)\n\
         exec {} worker --transport aws --region {REGION} --channel {} --name $id --join-key-file {} --home $HOME\n",
        program.display(),
        fleet.channel,
        key.display()
    );
    let user_data = home.join("user-data.sh");
    std::fs::write(&user_data, &script).unwrap();
    let properties = format!(
        "aws.sns.control.topic.name={channel}\n\
         aws.sqs.queue.name={channel}-toc\n\
         aws.account.principal.id=012345678901\n\
         aws.user.arn=arn:aws:iam::012345678901:user/loader\n\
         master.workers.total=1\n\
         master.workers.ec2.managed=true\n\
         master.workers.ec2.ami.id={image}\n\
         master.workers.ec2.instanceType=t3.micro\n\
         master.workers.ec2.keyName=old-key\n\
         master.workers.ec2.securityGroupId={group}\n\
         master.workers.ec2.subnetId={subnet}\n\
         master.workers.ec2.shutdownBehavior=Terminate\n\
         master.workers.ec2.userDataFile={file}\n\
         master.workers.ec2.minutes.to.wait.for.worker.init=2\n\
         tocGenerator.class=org.bitsofinfo.s3.toc.DirectoryCrawler\n\
         tocGenerator.source.dir={source}\n\
         tocPayloadHandler.write.class=org.bitsofinfo.s3.worker.FileCopyTOCPayloadHandler\n\
         tocPayloadHandler.validate.class=org.bitsofinfo.s3.worker.ValidatingTOCPayloadHandler\n\
         tocPayloadHandler.source.dir.root={source}\n\
         tocPayloadHandler.target.dir.root=/mnt/nowhere\n",
        channel = fleet.channel,
        image = cloud.image,
        group = cloud.group,
        subnet = cloud.subnets[0],
        file = user_data.display(),
        source = tree.root().display(),
    );
    let file = home.join("s3BucketLoader.properties");
    std::fs::write(&file, properties).unwrap();
    let mut command = fleet.master(&tree, 1);
    let master = start(command.args(["--region", REGION, "--config"]).arg(&file));
    let id = cloud.await_running(1).remove(0);
    assert_eq!(cloud.user_data(&id), script.as_bytes());
    assert_eq!(cloud.instances()[&id]["KeyName"], "old-key");
    let folder = home.join(&id);
    let (_metadata, booted) = cloud.boot(&id, &folder);
    master.ended().expect(0);
    assert_eq!(booted.ended().code, Some(0));
    fleet.stage.assert_arrived(&tree);
    cloud.assert_all_gone(1);
}

#[test]
fn user_data_of_a_file_are_handed_over_byte_for_byte() {
    let (cloud, tree) = (Cloud::new("user-data"), many_files(1));
    let file = cloud.fleet.stage.home.path().join("user-data");
    let bytes: Vec<u8> = (0..=255).chain(*b"#!/bin/sh\r\n\0").collect();
    std::fs::write(&file, &bytes).unwrap();
    let mut command = cloud.fleet.master(&tree, 1);
    command.args(["--launcher", "ec2", "--region", REGION, "--ec2-image", &cloud.image]);
    command.args(["--ec2-instance-type", "t3.micro", "--ec2-user-data"]).arg(&file);
    command.args(["--ec2-disk-device", "/dev/sdf", "--ec2-disk-type", "gp3"]);
    command.args(["--ec2-disk-gigabytes", "7"]);
    let master = start(&mut command);
    let id = cloud.await_running(1).remove(0);
    assert_eq!(cloud.user_data(&id), bytes);
    let mappings = cloud.instances()[&id]["BlockDeviceMappings"].clone();
    let disk = mappings.as_array().unwrap().iter().find(|it| it["DeviceName"] == "/dev/sdf");
    let disk = disk.unwrap_or_else(|| panic!("{mappings:#}"));
    assert_eq!(disk["Ebs"]["DeleteOnTermination"], true);

    master.signal("INT");
    master.ended().expect(6);
    cloud.assert_all_gone(1);
}

#[test]
fn an_instance_whose_worker_does_not_come_is_terminated_and_the_others_begin() {
    let (cloud, tree) = (Cloud::new("late-instance"), many_files(50));
    let mut command = cloud.master(&tree, 2);
    let master = start(command.args(["--worker-wait", "25s", "--min-workers", "1"]));
    let ids = cloud.await_running(2);
    let folder = cloud.fleet.stage.home.path().join(&ids[1]);
    let (_metadata, script) = cloud.boot(&ids[1], &folder);
    let said = master.ended().expect(0).stderr;
    assert!(said.contains(&format!("{} did not register in time", ids[0])), "{said}");
    assert_eq!(script.ended().code, Some(0));
    cloud.fleet.stage.assert_arrived(&tree);
    cloud.assert_all_gone(2);
}

#[test]
fn what_a_killed_master_launched_is_found_again_by_its_tags() {
    let (cloud, tree) = (Cloud::new("killed-cloud"), many_files(1));
    let master = start(&mut cloud.master(&tree, 2));
    cloud.await_running(2);
    master.signal("KILL");
    drop(master);
    let program = || {
        let mut program = cloud.fleet.stage.program();
        program.env("AWS_ENDPOINT_URL", cloud.fleet.stage.server.endpoint_url());
        program
    };
    let ended = Ended::from(program().args(["cleanup", "latest", "--json"]).output().unwrap());
    let removed = ended.expect(0).json();
    assert_eq!(removed["launched"].as_array().unwrap().len(), 2, "{removed:#}");
    cloud.assert_all_gone(2);

    // From a machine that knows nothing of the run.
    let master = start(&mut cloud.master(&tree, 1));
    cloud.await_running(1);
    master.signal("KILL");
    drop(master);
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = cloud.fleet.on_channel("cleanup");
    command.args(["--force", "--launcher", "ec2", "--region", REGION, "--json"]);
    let ended = Ended::from(command.arg("--home").arg(elsewhere.path()).output().unwrap());
    let removed = ended.expect(0).json();
    assert_eq!(removed["launched"].as_array().unwrap().len(), 1, "{removed:#}");
    cloud.assert_all_gone(3);
}

#[test]
fn a_mistake_is_named_by_its_flag_and_nothing_is_left() {
    let (cloud, tree) = (Cloud::new("no-subnet"), many_files(1));
    let cloud = Cloud { subnets: vec!["subnet-00000000000000000".to_owned()], ..cloud };
    let said = start(&mut cloud.master(&tree, 2)).ended().expect(1).stderr;
    assert!(said.contains("0 workers can come, and 1 are needed"), "{said}");
    assert!(said.contains("check --ec2-subnet"), "{said}");
    assert!(said.contains("InvalidSubnetID.NotFound"), "{said}");
    cloud.assert_all_gone(0);
    cloud.fleet.assert_nothing_left();
}

#[test]
fn ctrl_c_at_any_moment_leaves_no_instance() {
    let (cloud, tree) = (Cloud::new("int-cloud"), many_files(1));
    let mut launched = 0;
    for moment in 0..20u64 {
        let mut command = cloud.master(&tree, 2);
        let master = start(&mut command);
        // The moment itself: from before the run has a name until after its instances are there.
        std::thread::sleep(Duration::from_millis(moment * 60));
        master.signal("INT");
        let ended = master.ended();
        // Before it listens to signals it ends by them, and has launched nothing.
        assert!(matches!(ended.code, Some(6) | None), "moment {moment}: {}", ended.stderr);
        let instances = cloud.instances();
        let is_gone = |it: &Value| it["State"]["Name"] == "terminated";
        assert!(instances.values().all(is_gone), "moment {moment}: {}", ended.stderr);
        launched = instances.len();
    }
    assert!(launched > 0, "no moment was late enough");
    cloud.fleet.assert_nothing_left();
}

#[test]
fn what_was_launched_is_kept_until_its_time_is_over_or_ctrl_c() {
    let (cloud, tree) = (Cloud::new("kept-cloud"), many_files(3));
    let talk = Talk::new(&cloud.fleet, "master");
    let master = talk.start(cloud.master(&tree, 1).args(["--auto-shutdown", "1h"]));
    cloud.await_running(1);
    // One that comes by hand does the work, before the instance is up.
    start(&mut cloud.fleet.worker("hand")).ended().expect(0);
    talk.await_words("what was launched is kept for 3600 s more, or until Ctrl-C");
    assert_eq!(cloud.running().len(), 1);
    master.signal("INT");
    master.ended().expect(0);
    cloud.assert_all_gone(1);
    cloud.fleet.stage.assert_arrived(&tree);
}

fn state(cloud: &Cloud, id: &str) -> String {
    let ask = ["ec2", "describe-instances", "--instance-ids", id];
    let query = ["--query", "Reservations[0].Instances[0].State.Name", "--output", "text"];
    cloud.fleet.aws(&[&ask[..], &query].concat()).unwrap().trim().to_owned()
}

#[test]
fn a_source_host_runs_as_long_as_the_run_and_its_commands_are_around_it() {
    let (cloud, tree) = (Cloud::new("source-host"), many_files(20));
    let host = cloud.stopped_host();
    let home = cloud.fleet.stage.home.path();
    let source = home.join("mounted");
    std::fs::create_dir(&source).unwrap();
    let begin = |source: &Path| {
        let endpoint_url = cloud.fleet.stage.server.endpoint_url();
        let mut command = cloud.fleet.master_of(&[source], &endpoint_url, 1);
        command.args(["--launcher", "process", "--region", REGION]);
        command.args(["--source-host-instance", &host, "--source-host-stop"]);
        command
    };
    // What stands for a mount here: a link that is there only meanwhile.
    let link = source.join("tree");
    let mount = format!("ln -s {} {}", tree.root().display(), link.display());
    let unmount = format!("rm {}", link.display());
    let mut command = begin(&link);
    command.args(["--source-host-start-command", &mount]);
    command.args(["--source-host-stop-command", &unmount]);
    let said = start(&mut command).ended().expect(0).stderr;
    assert!(said.contains(&format!("source host {host}: was started")), "{said}");
    assert!(said.contains(&format!("source host {host}: is told to stop")), "{said}");
    assert_eq!(state(&cloud, &host), "stopped");
    assert!(std::fs::symlink_metadata(&link).is_err(), "the stop command was run");
    cloud.fleet.stage.assert_arrived(&tree);

    // A command that fails keeps the run from beginning, and the host is stopped all the same.
    let mut command = begin(&link);
    command.args(["--source-host-start-command", "false"]);
    let said = start(&mut command).ended().expect(1).stderr;
    assert!(
        said.contains("the source-host-start command `false` ended with exit code 1"),
        "{said}"
    );
    assert_eq!(state(&cloud, &host), "stopped");

    // One that does not exist.
    let mut command = cloud.fleet.master(&tree, 1);
    command.args(["--region", REGION, "--source-host-instance", "i-00000000000000000"]);
    let said = start(&mut command).ended().expect(1).stderr;
    assert!(said.contains("look for the source host i-00000000000000000"), "{said}");
    assert!(said.contains("InvalidInstanceID.NotFound"), "{said}");
}

#[test]
fn a_template_says_what_flags_do_not_and_one_that_is_gone_is_replaced() {
    let (cloud, tree) = (Cloud::new("template"), many_files(1));
    let aws = |arguments: &[&str]| cloud.fleet.aws(arguments).unwrap();
    let data = format!("{{\"ImageId\":\"{}\",\"InstanceType\":\"t3.small\"}}", cloud.image);
    let template = ["--launch-template-name", "workers", "--launch-template-data", &data];
    aws(&[&["ec2", "create-launch-template"][..], &template].concat());
    aws(&["iam", "create-instance-profile", "--instance-profile-name", "worker"]);
    let mut command = cloud.fleet.master(&tree, 1);
    command.args(["--launcher", "ec2", "--region", REGION, "--ec2-launch-template", "workers:1"]);
    command.args(["--ec2-instance-profile", "worker", "--ec2-spot", "--replace-workers", "1"]);
    command.args(["--ec2-join-key", "ssm:/s3bl/key"]);
    let master = start(&mut command);
    let first = cloud.await_running(1).remove(0);
    let instance = cloud.instances()[&first].clone();
    assert_eq!(instance["ImageId"], cloud.image.as_str(), "{instance:#}");
    assert_eq!(instance["InstanceType"], "t3.small", "{instance:#}");
    assert_eq!(instance["InstanceLifecycle"], "spot", "{instance:#}");
    let profile = instance["IamInstanceProfile"]["Arn"].as_str().unwrap();
    assert!(profile.ends_with("/worker"), "{instance:#}");

    // As somebody may in the console.
    aws(&["ec2", "terminate-instances", "--instance-ids", &first]);
    let second = cloud.await_running(1).remove(0);
    assert_ne!(second, first);
    let tags = cloud.instances()[&second]["Tags"].to_string();
    assert!(tags.contains("1.2"), "{tags}");
    master.signal("INT");
    master.ended().expect(6);
    cloud.assert_all_gone(2);
}

#[test]
fn doctor_asks_whether_instances_could_be_launched() {
    let cloud = Cloud::new("doctor-cloud");
    let ask = |subnet: &str| {
        let mut command = cloud.fleet.on_channel("doctor");
        command.arg(cloud.fleet.stage.destination()).args(["--role", "master", "--region", REGION]);
        command.args(["--endpoint-url", &cloud.fleet.stage.server.endpoint_url()]);
        command.args(["--launcher", "ec2", "--ec2-image", &cloud.image, "--ec2-subnet", subnet]);
        command.args(["--ec2-instance-type", "t3.micro", "--ec2-join-key", "ssm:/s3bl/key"]);
        Ended::from(command.output().unwrap())
    };
    let said = ask(&cloud.subnets[0]).expect(0).stdout;
    assert!(said.contains("ok   ec2          `ec2:RunInstances`"), "{said}");
    assert!(said.contains("`ec2:DescribeInstanceStatus`: allowed"), "{said}");
    cloud.assert_all_gone(0);
    cloud.fleet.assert_nothing_left();
}
