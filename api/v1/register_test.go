// SPDX-License-Identifier: Apache-2.0

package v1_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/wovensdn/woven/api/v1"
)

func TestSchemeKnowsEveryKind(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"Vpc", "Subnet", "IP", "IPPool", "Vlan", "ProviderNetwork"} {
		for _, name := range []string{kind, kind + "List"} {
			if !scheme.Recognizes(v1.GroupVersion.WithKind(name)) {
				t.Errorf("scheme does not know %s", name)
			}
		}
	}
	if got := v1.Resource("subnets").String(); got != "subnets.kubeovn.io" {
		t.Errorf("Resource(subnets) is %s", got)
	}
}
