//! The drivers of master and worker: they run the machines of core through the doors of port.
