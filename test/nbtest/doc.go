// SPDX-License-Identifier: Apache-2.0

// Package nbtest runs real OVSDB servers for tests, and dumps a database as sorted text that can be compared with a
// golden file.
//
// A server needs ovsdb-server, ovsdb-tool and ovs-appctl on the machine (Debian 12: package openvswitch-common, which
// starts no service). Tests fail when they are missing. The databases have the embedded schemas of pkg/ovsdb/schema, so
// the version of the installed package does not matter.
package nbtest
