// SPDX-License-Identifier: Apache-2.0

package modeldb

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// errDisconnected is what a null character leads to: a server cannot parse the request and closes the connection.
var errDisconnected = errors.New("outcome of the transaction is unknown: the server has closed the connection")

var constraints = nb.Schema()

// violation returns the results that a server gives when values that a transaction writes violate its schema, nil if
// they do not. libovsdb's server does not check it.
func violation(ops []ovsdb.Operation) []ovsdb.OperationResult {
	for i, op := range ops {
		table := constraints.Table(op.Table)
		if table == nil || op.Op != ovsdb.OperationInsert && op.Op != ovsdb.OperationUpdate {
			continue
		}
		for name, value := range op.Row {
			if column := table.Column(name); column != nil && !allowed(column, value) {
				out := make([]ovsdb.OperationResult, i+1)
				out[i] = ovsdb.OperationResult{Error: "constraint violation", Details: fmt.Sprintf("column %s: %v is not allowed", name, value)}
				return out
			}
		}
	}
	return nil
}

// allowed checks the atoms of a value, as they are decoded from JSON.
func allowed(column *ovsdb.ColumnSchema, value any) bool {
	typ := column.TypeObj
	if typ == nil {
		return true
	}
	switch v := value.(type) {
	case ovsdb.OvsSet:
		return !slices.ContainsFunc(v.GoSet, func(atom any) bool { return !atomAllowed(typ.Key, atom) })
	case ovsdb.OvsMap:
		for key, one := range v.GoMap {
			if !atomAllowed(typ.Key, key) || !atomAllowed(typ.Value, one) {
				return false
			}
		}
		return true
	default:
		return atomAllowed(typ.Key, value)
	}
}

func atomAllowed(typ *ovsdb.BaseType, atom any) bool {
	switch v := atom.(type) {
	case string:
		most, err := typ.MaxLength()
		return err == nil && len([]rune(v)) <= most && (len(typ.Enum) == 0 || slices.Contains(typ.Enum, atom))
	case float64:
		low, errLow := typ.MinInteger()
		high, errHigh := typ.MaxInteger()
		return errLow == nil && errHigh == nil && float64(low) <= v && v <= float64(high)
	default:
		return true
	}
}

func hasNull(request []byte) bool { return strings.Contains(string(request), `\u0000`) }
