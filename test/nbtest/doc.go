// Package nbtest runs real OVSDB servers for tests, and turns a database into sorted text that can
// be compared with a golden file.
//
// A server needs ovsdb-server, ovsdb-tool and ovs-appctl on the machine (Debian 12: the package
// openvswitch-common, which starts nothing); a test fails when they are missing. The databases are made from the embedded
// schemas of pkg/ovsdb/schema, so the version of the installed package matters little.
package nbtest
