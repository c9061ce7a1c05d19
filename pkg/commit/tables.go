// SPDX-License-Identifier: Apache-2.0

package commit

import (
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/ovsdb/client"
)

// Tables are the tables that the controller monitors: those that it uses, without the columns that grow with the number
// of pods.
func Tables() []client.Table {
	var out []client.Table
	for _, t := range fact.Tables() {
		out = append(out, client.Table{Name: t.Name, Except: t.Unmonitored})
	}
	return out
}
