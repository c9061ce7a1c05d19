// SPDX-License-Identifier: Apache-2.0

// Package sb holds the rows of the OVN_Southbound database as Go types, generated from
// ../schema/ovn-sb.ovsschema; ovn-sb(5) says what each table and column means.
// tables.txt lists the tables in use; to use another one, add its name there and run go generate.
package sb

//go:generate go run github.com/wovensdn/woven/hack/ovsdb-generate -package sb -schema ../schema/ovn-sb.ovsschema
