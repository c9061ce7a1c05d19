// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"testing"

	"github.com/wovensdn/woven/pkg/cli"
)

func TestMetricsNeedAuthenticationWhereOthersReachThem(t *testing.T) {
	for address, open := range map[string]bool{
		"127.0.0.1:10660": true, "[::1]:10660": true, "localhost:10660": true,
		":10660": false, "0.0.0.0:10660": false, "[::]:10660": false, "192.0.2.1:10660": false, "node-1:10660": false,
	} {
		secure := (&cli.Observation{}).Server(address, nil)
		if got := !secure.SecureServing && secure.FilterProvider == nil; got != open {
			t.Errorf("%s is open: %v, want %v", address, got, open)
		}
		if insecure := (&cli.Observation{Insecure: true}).Server(address, nil); insecure.SecureServing || insecure.FilterProvider != nil {
			t.Errorf("%s is not open with --insecure-metrics", address)
		}
	}
}
