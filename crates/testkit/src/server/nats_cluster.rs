//! Three NATS servers that are one JetStream: what is kept three times outlives any of them.

use std::ops::Range;

use super::StartError;
use super::nats::{NODE, Nats};
use crate::port::PortLease;

/// As many as tolerate the loss of one.
const NODES: usize = 3;

/// A running cluster, without authentication.
pub struct NatsCluster {
    nodes: Vec<Nats>,
    /// The ports between the nodes, held so that nobody takes that of a node which is killed.
    _routes: [PortLease; NODES],
}

impl NatsCluster {
    /// Starts a cluster, stopped when the value is dropped or this process ends, however it ends.
    ///
    /// # Errors
    ///
    /// As [`Nats::start`].
    pub fn start() -> Result<Self, StartError> {
        let routes = PortLease::take_array::<NODES>()?;
        let ports = routes.each_ref().map(PortLease::number);
        let nodes = (0..NODES)
            .map(|number| Nats::start_as(&NODE, &configuration(number, &ports)))
            .collect::<Result<_, _>>()?;
        let mut cluster = Self { nodes, _routes: routes };
        cluster.await_well(0..NODES)?;
        Ok(cluster)
    }

    /// The addresses of all nodes as NATS clients take them, with commas between them.
    #[must_use]
    pub fn urls(&self) -> String {
        self.nodes.iter().map(Nats::url).collect::<Vec<_>>().join(",")
    }

    /// Kills a node by its name, as a power cut would, and returns its number.
    ///
    /// # Panics
    ///
    /// There is no node of this name, as JetStream tells it of a stream's leader.
    pub fn kill(&mut self, name: &str) -> usize {
        let number = (0..NODES).find(|number| node_name(*number) == name);
        let number = number.unwrap_or_else(|| panic!("no node is called `{name}`"));
        self.nodes[number].kill();
        number
    }

    /// Starts a killed node again, and returns when it has caught up with the others.
    ///
    /// # Errors
    ///
    /// As [`Nats::start`].
    pub fn start_again(&mut self, number: usize) -> Result<(), StartError> {
        self.nodes[number].start_again()?;
        self.await_well(number..number + 1)
    }

    /// A node by its number, below three.
    #[must_use]
    pub fn node(&self, number: usize) -> &Nats {
        &self.nodes[number]
    }

    fn await_well(&mut self, numbers: Range<usize>) -> Result<(), StartError> {
        self.nodes[numbers].iter_mut().try_for_each(Nats::await_well)
    }
}

fn node_name(number: usize) -> String {
    format!("node-{number}")
}

fn configuration(number: usize, ports: &[u16; NODES]) -> String {
    let routes = ports.map(|port| format!("nats://127.0.0.1:{port}")).join(", ");
    let (name, port) = (node_name(number), ports[number]);
    format!(
        "server_name: {name}\njetstream: enabled\n\
         cluster {{ name: testkit, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}\n"
    )
}
