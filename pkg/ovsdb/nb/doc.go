// SPDX-License-Identifier: Apache-2.0

// Package nb holds the rows of the OVN_Northbound database as Go types, generated from
// ../schema/ovn-nb.ovsschema; ovn-nb(5) says what each table and column means.
// tables.txt lists the tables in use; to use another one, add its name there and run go generate.
package nb

//go:generate go run github.com/wovensdn/woven/hack/ovsdb-generate -package nb -schema ../schema/ovn-nb.ovsschema
