// SPDX-License-Identifier: Apache-2.0

// Package vs holds the rows of the Open_vSwitch database as Go types, generated from
// ../schema/vswitch.ovsschema; ovs-vswitchd.conf.db(5) says what each table and column means.
// tables.txt lists the tables in use; to use another one, add its name there and run go generate.
package vs

//go:generate go run github.com/wovensdn/woven/hack/ovsdb-generate -package vs -schema ../schema/vswitch.ovsschema
