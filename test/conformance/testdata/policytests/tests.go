// SPDX-License-Identifier: Apache-2.0

package tests

var First = suite.ConformanceTest{
	ShortName: "First",
	Features:  []suite.SupportedFeature{suite.SupportOne},
	Test: func(t *testing.T, s *suite.ConformanceTestSuite) {
		t.Run("allows it; at once", func(t *testing.T) {})
		t.Run("denies it", func(t *testing.T) {})
	},
}

var Second = suite.ConformanceTest{
	ShortName: "Second",
	Test:      func(t *testing.T, s *suite.ConformanceTestSuite) { t.Run("passes", func(t *testing.T) {}) },
}
