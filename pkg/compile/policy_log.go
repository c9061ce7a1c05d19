// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"strconv"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// defaultLogRate limits the lines that one rule logs, per second.
const defaultLogRate = 10

// setLog makes OVN log the decisions of the rule, if the owner enables that. There is one meter for each rate; it
// limits each rule separately (ovn-nb(5), Meter:fair).
func (b *ruleBuilder) setLog(row *nb.ACL) {
	log := b.log
	switch row.Action {
	case nb.ACLActionDrop:
		row.Log = log.Deny
	case nb.ACLActionPass:
		row.Log = log.Pass
	default:
		row.Log = log.Allow
	}
	if !row.Log {
		return
	}
	severity, rate := nb.ACLSeverityInfo, log.Rate
	if row.Action == nb.ACLActionDrop {
		severity = nb.ACLSeverityWarning
	}
	if rate == 0 {
		rate = defaultLogRate
	}
	meter := meterOf(b.r, rate)
	row.Severity, row.Meter = &severity, &meter
}

// meterOf declares the meter of a rate, in lines per second.
func meterOf(r *Result, rate int) string {
	name := "woven.acl." + strconv.Itoa(rate)
	meter := fact.RefTo(nb.MeterTable, name)
	for i := range r.Rows {
		if r.Rows[i].Ref == meter {
			return name
		}
	}
	fair := true
	band := r.Row(nb.MeterBandTable, name, &nb.MeterBand{Action: nb.MeterBandActionDrop, Rate: rate})
	r.Row(nb.MeterTable, name, &nb.Meter{Name: name, Unit: nb.MeterUnitPktps, Fair: &fair, Bands: []string{band.UUID}})
	return name
}
