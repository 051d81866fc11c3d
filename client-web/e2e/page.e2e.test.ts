import { builtPage } from './harness.ts'
import { describeJourney } from './journey.ts'
import { startScriptedTarget } from './target.ts'
import './chat.cases.ts'
import './failures.cases.ts'
import './safety.cases.ts'
import './looks.cases.ts'

describeJourney('the page before a gateway that answers by itself', async () => {
  const target = await startScriptedTarget(await builtPage())
  target.gateway.isAutomatic = true
  return target
})
