// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"

	"github.com/wovensdn/woven/pkg/model"
)

// sections of the page, by the class of the reasons.
var sections = []struct {
	class        model.ReasonClass
	title, about string
}{
	{
		model.ReasonOfProblem, "Problems",
		"Each of them is a Warning event of the object; the message names the field and the cause. A Subnet, Vpc or IPPool also has the reason in its conditions `Ready=False` and `Error=True`, " +
			"and in `Validated=False` if the spec is at fault. `NotSupported` of an optional field or annotation is in the condition `Supported=False` instead. When the problem is solved, the conditions change by themselves within seconds.",
	},
	{model.ReasonOfEvent, "Other events", "These events report something that has happened; no condition changes."},
	{model.ReasonOfCondition, "Conditions", "These reasons appear in conditions only. Subnet, Vpc and IPPool have the condition types `Validated`, `Ready` and, after a problem, `Error` and `Supported`; a Node has `NetworkUnavailable`."},
	{model.ReasonOfAdmission, "Answers of the webhook", "The validating webhook checks the same rules. These reasons have no event: the message is in the answer that kubectl shows."},
}

func eventsPage(string) (string, error) {
	d := newDocument("Events and conditions", "Every reason of an event or condition, what it means, and what to do about it. `kubectl describe` shows both; "+
		"`kubectl events -A --types=Warning` lists the events of a cluster.")
	for _, section := range sections {
		d.heading(2, section.title)
		d.addf("%s\n", section.about)
		for _, r := range model.Reasons {
			if r.Class != section.class {
				continue
			}
			d.heading(3, r.Name)
			if r.Condition != "" {
				d.addf("Condition %s of ", code(r.Condition))
			} else {
				d.addf("On ")
			}
			d.addf("%s.\n\n%s\n\n**What to do:** %s\n", codes(r.On), r.Meaning, cmp.Or(r.Remedy, "nothing."))
		}
	}
	return d.String(), nil
}
