// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"strings"
	"testing"
)

func TestMissingCustomResourceDefinitionsAreNamed(t *testing.T) {
	missing := missingFrom(map[string]bool{"Subnet": true, "Other": true})
	if got := strings.Join(missing, " "); got != "vpcs.kubeovn.io ippools.kubeovn.io ips.kubeovn.io" {
		t.Errorf("missing kinds are %s", got)
	}
	if missing := missingFrom(map[string]bool{"Subnet": true, "Vpc": true, "IP": true, "IPPool": true}); len(missing) != 0 {
		t.Errorf("missing kinds are %v, want none", missing)
	}
}
