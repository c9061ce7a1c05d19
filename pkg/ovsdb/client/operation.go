// SPDX-License-Identifier: Apache-2.0

package client

import "github.com/ovn-kubernetes/libovsdb/ovsdb"

type plainOperation ovsdb.Operation

// operation encodes what ovsdb.Operation cannot: that omits empty members which RFC 7047 section 5.2 requires, in an
// insert of a row of defaults, a wait for no rows, and a condition that all rows satisfy. A nil Where stays omitted,
// and the server refuses it: "all rows" must be explicit, with an empty Where.
type operation struct {
	plainOperation
	Row   any `json:"row,omitempty"`
	Rows  any `json:"rows,omitempty"`
	Where any `json:"where,omitempty"`
}

func newOperation(op ovsdb.Operation) operation {
	o := operation{plainOperation: plainOperation(op)}
	switch {
	case op.Row != nil:
		o.Row = op.Row
	case op.Op == ovsdb.OperationInsert:
		o.Row = ovsdb.Row{}
	}
	switch {
	case op.Rows != nil:
		o.Rows = op.Rows
	case op.Op == ovsdb.OperationWait:
		o.Rows = []ovsdb.Row{}
	}
	switch {
	case op.Where != nil:
		o.Where = op.Where
	case op.Op == ovsdb.OperationSelect:
		o.Where = []ovsdb.Condition{}
	}
	return o
}

// transactParams returns the parameters of the transact method.
func transactParams(database string, ops []ovsdb.Operation) []any {
	params := make([]any, 0, len(ops)+1)
	params = append(params, database)
	for _, op := range ops {
		params = append(params, newOperation(op))
	}
	return params
}
